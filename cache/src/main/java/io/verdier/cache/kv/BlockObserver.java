package io.verdier.cache.kv;

/**
 * Hears when blocks get other contents, and when their contents are found. Called on the scheduler
 * thread, between two steps: it must not allocate.
 */
public interface BlockObserver {

  /** Does not care. */
  BlockObserver NOBODY =
      new BlockObserver() {
        @Override
        public void onTaken(int block) {}

        @Override
        public void onFound(int block) {}

        @Override
        public void onForgotten() {}
      };

  /** A block is taken for contents of its own; what it held before, if anything, is gone. */
  void onTaken(int block);

  /** A sequence begins with what the block holds. */
  void onFound(int block);

  /** Nothing that was held can be found any more. */
  void onForgotten();
}
