package io.verdier.engine.backend;

/**
 * A device that only counts. Owned by the loading thread. What is allocated on its backend takes no
 * memory, and what is launched computes nothing: so a model can be loaded and run through its
 * largest steps in milliseconds, to see what it is going to take, by the very code that will take
 * it.
 *
 * <p>vLLM runs such steps on the device itself and looks at what is left. Here no byte has been
 * taken when a model turns out not to fit, and the same numbers come out on every machine.
 */
public interface Rehearsal extends AutoCloseable {

  /** Of matrices only shapes are read; tokens that it chooses mean nothing. */
  Backend backend();

  /** Bytes of the device that are allocated now. */
  long bytes();

  /** Most bytes that were ever allocated at the same time. */
  long bytesMax();

  /** What the driver will take for steps that were captured: an estimate. */
  long graphBytes();

  @Override
  void close();
}
