package io.verdier.cache.kv;

/** Hears what becomes of findable contents. Called on the scheduler thread. */
public interface BlockWatcher {

  /** Does not care. */
  BlockWatcher NOBODY =
      new BlockWatcher() {
        @Override
        public void onReuse(int block, BlockHash name) {}

        @Override
        public void onSpoiled(int block, BlockHash name) {}
      };

  /**
   * A block that nobody holds is taken for something else. Its contents stay what they are until
   * the next plan writes it.
   */
  void onReuse(int block, BlockHash name);

  /** What a block holds may be wrong: whoever has a copy must forget it. */
  void onSpoiled(int block, BlockHash name);
}
