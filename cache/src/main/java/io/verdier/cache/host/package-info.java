/**
 * The prefix cache behind the device: which block lies in which slot of the host's memory and of
 * the disk, what moves between them and cache nodes, the files on the disk, and the blocks that a
 * cache node keeps. The books are owned by the scheduler thread, like those of {@link
 * io.verdier.cache.kv}; bytes of the host belong to the backend, and those of the disk to {@link
 * io.verdier.cache.host.DiskFile}, which other threads read and write. No clock may enter the
 * books, and they wait for nothing.
 */
@NullMarked
package io.verdier.cache.host;

import org.jspecify.annotations.NullMarked;
