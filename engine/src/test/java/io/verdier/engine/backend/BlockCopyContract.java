package io.verdier.engine.backend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.backend.Backend.Attention;
import io.verdier.engine.backend.Backend.KvShape;
import io.verdier.engine.backend.Backend.Projection;
import io.verdier.engine.backend.Backend.Rotation;
import io.verdier.engine.backend.HostBlocks.Pair;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/**
 * Blocks that went to the host and came back are the same to the bit, in whatever blocks they then
 * lie; and who waits as {@link KvStorage} says sees nothing half copied.
 */
abstract class BlockCopyContract extends LoraContract {
  private static final int BLOCK_TOKENS = 32;
  private static final int BLOCKS = 40;
  private static final int[] TABLE = {5, 0, 39, 17};
  private static final int[] OTHER_TABLE = {2, 30, 1, 8};
  private static final int LAYERS = 3;
  private static final int HEAD_DIM = 40;
  private static final KvShape SHAPE = new KvShape(LAYERS, 2, 4, HEAD_DIM, BLOCK_TOKENS, BLOCKS);
  private static final int TOKENS = 3 * BLOCK_TOKENS + 7; // the last block is not full

  BlockCopyContract(Backend backend) {
    super(backend);
  }

  @Test
  void blocks_copiedOutAndIntoOthers_attendToTheSameBits() {
    KvStorage storage = backend.kvStorage(SHAPE);
    Prompt prompt = new Prompt(storage);
    prompt.store(TABLE);
    float[][][] before = prompt.attend(TABLE);
    HostBlocks host = storage.hostBlocks(7);
    List<Pair> out = pairs(TABLE, 6, 2, 3, 0);
    HostCopy outwards = storage.copyOut(host, out);
    outwards.holdSteps();
    new Prompt(storage).store(TABLE); // others' numbers
    outwards.await();
    assertThat(host.pieces(6).getFirst().byteSize()).isEqualTo(storage.blockBytes());
    List<long[]> records = records(host, out);

    assertThat(prompt.attend(TABLE)).isNotEqualTo(before);
    HostCopy copy = storage.copyIn(host, pairs(OTHER_TABLE, 6, 2, 3, 0));
    copy.holdSteps();
    assertThat(prompt.attend(OTHER_TABLE)).isEqualTo(before);
    copy.await();
    assertThat(copy.isDone()).isTrue();

    storage.copyOut(host, pairs(OTHER_TABLE, 1, 4, 5, 6)).await();
    assertThat(records(host, pairs(OTHER_TABLE, 1, 4, 5, 6)))
        .usingRecursiveComparison()
        .isEqualTo(records);
    host.close();
    storage.close();
  }

  @Test
  void copy_asked_isDoneSooner() {
    KvStorage storage = backend.kvStorage(SHAPE);
    new Prompt(storage).store(TABLE);
    HostBlocks host = storage.hostBlocks(4);
    HostCopy copy = storage.copyOut(host, pairs(TABLE, 0, 1, 2, 3));
    while (!copy.isDone()) {
      Thread.onSpinWait();
    }
    HostCopy nothing = storage.copyIn(host, List.of());
    nothing.await();
    assertThat(nothing.isDone()).isTrue();
    storage.close(); // the host blocks with it
  }

  @Test
  void blockBytes_areThoseOfItsTokens() {
    KvStorage storage = backend.kvStorage(new KvShape(2, 3, 3, 64, 16, 5));
    assertThat(storage.blockBytes()).isEqualTo(16 * backend.kvTokenBytes(2, 3, 64));
  }

  @Test
  void copies_ofWhatIsNotThere_throw() {
    KvStorage storage = backend.kvStorage(SHAPE);
    HostBlocks host = storage.hostBlocks(2);
    for (Pair pair : List.of(new Pair(BLOCKS, 0), new Pair(-1, 0), new Pair(0, 2))) {
      assertThatThrownBy(() -> storage.copyOut(host, List.of(pair)))
          .isInstanceOf(IndexOutOfBoundsException.class);
      assertThatThrownBy(() -> storage.copyIn(host, List.of(pair)))
          .isInstanceOf(IndexOutOfBoundsException.class);
    }
    assertThatThrownBy(() -> host.pieces(2)).isInstanceOf(IndexOutOfBoundsException.class);
    KvStorage larger = backend.kvStorage(new KvShape(2, 3, 3, 64, 16, 5));
    assertThatThrownBy(() -> larger.copyIn(host, List.of(new Pair(0, 0))))
        .isInstanceOf(IllegalStateException.class);
  }

  private static List<Pair> pairs(int[] blocks, int... slots) {
    return IntStream.range(0, blocks.length).mapToObj(i -> new Pair(blocks[i], slots[i])).toList();
  }

  private static List<long[]> records(HostBlocks host, List<Pair> pairs) {
    return pairs.stream()
        .map(p -> host.pieces(p.slot()).getFirst().toArray(ValueLayout.JAVA_LONG))
        .toList();
  }

  /** Random keys and values of one sequence in every layer, and queries that look at them. */
  private final class Prompt {
    private final KvStorage storage;
    private final List<Projection> layers = new ArrayList<>();
    private final Rotation rotation;

    Prompt(KvStorage storage) {
      this.storage = storage;
      for (int i = 0; i < LAYERS; i++) {
        layers.add(Projection.of(tensor(matrix(TOKENS, 8 * HEAD_DIM)), 2 * HEAD_DIM));
      }
      double[] frequencies = new double[HEAD_DIM / 2];
      Arrays.setAll(frequencies, i -> Math.pow(0.1, i));
      rotation = new Rotation(backend.ropeTable(frequencies, 1), null, null, 1e-5f);
    }

    private AttentionBatch batch(int[] table, int from, int count) {
      AttentionBatch batch = new AttentionBatch(TOKENS, 1);
      batch.add(i -> 0, from, count, table);
      return batch;
    }

    void store(int[] table) {
      for (int i = 0; i < LAYERS; i++) {
        layers.get(i).select(0, TOKENS - 1);
        AttentionBatch batch = batch(table, 0, TOKENS - 1);
        backend.rotateAndStore(layers.get(i), rotation, storage, i, batch);
      }
    }

    /** Stores the last token, and gives what it sees in each layer. */
    float[][][] attend(int[] table) {
      List<float[][]> seen = new ArrayList<>();
      for (int i = 0; i < LAYERS; i++) {
        Projection fresh = Projection.of(tensor(last(i)), 2 * HEAD_DIM);
        AttentionBatch batch = batch(table, TOKENS - 1, 1);
        Operand out = backend.operand(1, 4 * HEAD_DIM);
        backend.rotateAndStore(fresh, rotation, storage, i, batch);
        backend.attend(out, fresh, storage, new Attention(i, 0.2f, 0), batch);
        seen.add(read(out));
      }
      return seen.toArray(float[][][]::new);
    }

    /** The same in every call: on some backends a projection is rotated in place. */
    private float[][] last(int layer) {
      float[] row = new float[8 * HEAD_DIM];
      for (int i = 0; i < row.length; i++) {
        row[i] = ((i * 7 + layer) % 32 - 16) / 8f;
      }
      return new float[][] {row};
    }
  }
}
