package io.verdier.engine.weights;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Map;

/**
 * A safetensors file by itself. Owned by the thread that reads it; its tensors are valid until it
 * is closed.
 */
public final class TensorFile implements AutoCloseable {
  private static final long DIGEST_BYTES = 64 << 10; // some tens of microseconds

  private final Arena arena = Arena.ofShared();
  private final SafetensorsFile file;

  /**
   * @throws WeightsException if the file cannot be read or breaks the format
   */
  public TensorFile(Path path) {
    try {
      file = SafetensorsFile.open(path, arena);
    } catch (RuntimeException e) {
      arena.close();
      throw e;
    }
  }

  /** All tensors by name, in the header's order. */
  public Map<String, StoredTensor> tensors() {
    return file.tensors();
  }

  /** Adds every byte of the file. */
  public void digest(MessageDigest digest) {
    MemorySegment bytes = file.bytes();
    for (long at = 0; at < bytes.byteSize(); at += DIGEST_BYTES) {
      long count = Math.min(DIGEST_BYTES, bytes.byteSize() - at);
      digest.update(bytes.asSlice(at, count).asByteBuffer());
      ThreadPriority.letPass(count);
    }
  }

  @Override
  public void close() {
    arena.close();
  }
}
