package io.verdier.verticles.bus;

import io.verdier.cache.host.RemoteDone;
import java.util.List;

/** What came of {@link RemoteTasks}, and of the cache nodes, to the scheduler. Immutable. */
public record RemoteResults(List<RemoteDone> done) {}
