package io.verdier.verticles.cluster.pipeline;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.model.ModelException;

/**
 * Whether what a step gives fits into a frame between stages: a connection ends with one that does
 * not, and with it the engine, in the midst of serving. Stateless.
 */
final class StageRoom {
  /** A step of fewer rows goes in one part, whatever the number of stages. */
  private static final int SMALL_ROWS = 64;

  private static final int SLICE_BYTES = 16; // without its table

  private StageRoom() {}

  /**
   * @param hidden width of the model
   * @param lengthMax tokens of a sequence
   * @throws ModelException if the largest step does not fit
   */
  static void require(ServerConfig config, int hidden, int lengthMax) {
    int stages = config.cluster().pipeline().stages();
    int tokens = config.scheduling().batchedTokensMax();
    long tableBytes = Math.ceilDiv(lengthMax, config.cache().blockTokens()) * (long) Integer.BYTES;
    long rowBytes = (long) hidden * Float.BYTES;
    long tables = (SLICE_BYTES + tableBytes) * config.scheduling().sequencesMax();
    long rowsMax = (StageCodec.BYTES_MAX - tables) / rowBytes;
    long rows = Math.max(Math.ceilDiv(tokens, stages), Math.min(tokens, SMALL_ROWS));
    if (rowsMax < SMALL_ROWS) {
      throw new ModelException(
          "--max-num-seqs %d: block tables of so many sequences of %d tokens take %d MiB; messages between stages have room for %d MiB. Start every node with a smaller --max-num-seqs or --max-model-len."
              .formatted(
                  config.scheduling().sequencesMax(),
                  lengthMax,
                  tables >> 20,
                  StageCodec.BYTES_MAX >> 20));
    }
    if (rows > rowsMax) {
      throw new ModelException(
          "--max-num-batched-tokens %d: a step's %d rows of %d numbers take %d MiB; messages between stages have room for %d MiB. Start every node with --max-num-batched-tokens %d or less."
              .formatted(
                  tokens,
                  rows,
                  hidden,
                  (rows * rowBytes) >> 20,
                  StageCodec.BYTES_MAX >> 20,
                  rowsMax * stages));
    }
  }
}
