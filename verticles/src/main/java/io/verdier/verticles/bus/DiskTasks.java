package io.verdier.verticles.bus;

import io.verdier.cache.host.DiskWork;
import java.util.List;

/** Work for the disk, from the scheduler. Immutable. */
public record DiskTasks(List<DiskWork> work) {}
