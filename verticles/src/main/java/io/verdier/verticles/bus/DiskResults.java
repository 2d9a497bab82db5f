package io.verdier.verticles.bus;

import io.verdier.cache.host.DiskDone;
import java.util.List;

/** What came of {@link DiskTasks}, to the scheduler. Immutable. */
public record DiskResults(List<DiskDone> done) {}
