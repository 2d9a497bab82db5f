package io.verdier.engine.backend;

/**
 * Bytes of the KV cache: keys and values of every layer in blocks, found by number. Owned by the
 * executor thread. Who uses which block is not known here.
 */
public interface KvStorage extends AutoCloseable {
  Backend.KvShape shape();

  @Override
  void close();
}
