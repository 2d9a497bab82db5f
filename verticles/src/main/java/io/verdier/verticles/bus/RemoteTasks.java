package io.verdier.verticles.bus;

import io.verdier.cache.host.RemoteWork;
import java.util.List;

/** Work for cache nodes, from the scheduler. Immutable. */
public record RemoteTasks(List<RemoteWork> work) {}
