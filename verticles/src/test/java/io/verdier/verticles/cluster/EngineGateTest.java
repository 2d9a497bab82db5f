package io.verdier.verticles.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.schedule.FinishReason;
import io.verdier.verticles.balance.EnginePool;
import io.verdier.verticles.bus.Cancel;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Deltas;
import io.verdier.verticles.bus.EngineAddresses;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.bus.Submit;
import io.verdier.verticles.cluster.Frame.Item;
import io.verdier.verticles.cluster.Frame.News;
import io.verdier.verticles.cluster.Frame.Stop;
import io.verdier.verticles.cluster.Frame.Work;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

/** What engines tell of much at once. Costs less than a second. */
class EngineGateTest {
  private static final int SEQUENCES = 10;

  private final List<Frame> told = new ArrayList<>();
  private final List<Object> sent = new ArrayList<>(); // to the engine
  private final EngineGate gate =
      new EngineGate(
          1,
          64,
          EnginePool.of(new EngineAddresses(0, List.of("s"), List.of("t"), "a")),
          (ingress, frame) -> told.add(frame),
          (address, message) -> sent.add(message));

  /** Work with so many keys; returns those that the engine knows it by. */
  private long[] begin(int sequences) {
    gate.accept(true);
    Submit submit = FrameCodecTest.submit(new Prompt.Text("x", true), null);
    long[] keys = LongStream.range(0, sequences).toArray();
    gate.onWork("ingress", new Work(1, submit.withKeys(keys), new long[0]));
    return ((Submit) sent.removeFirst()).keys();
  }

  private static Delta pooled(long key, int floats) {
    Delta.End end = new Delta.End(FinishReason.LENGTH, null, -1, 0, 0, null);
    return new Delta(key, null, "", new int[0], List.of(), List.of(), new float[floats], -1, end);
  }

  /** Hidden states of many prompts that end in one step. */
  @Test
  void news_ofMuchInOneStep_areSeveralFramesThatCanBeSent() {
    long[] keys = begin(SEQUENCES);
    int floats = Seal.FRAME_BYTES_MAX / SEQUENCES / Float.BYTES + 1; // together too much
    gate.onDeltas(new Deltas(Arrays.stream(keys).mapToObj(key -> pooled(key, floats)).toList()));
    assertThat(told).hasSizeBetween(4, SEQUENCES);
    List<Long> owners = new ArrayList<>();
    for (Frame frame : told) {
      assertThat(FrameCodecTest.write(frame).length())
          .isLessThan((int) EngineGate.NEWS_BYTES_MAX + 1);
      ((News) frame).items().forEach(item -> owners.add(item.delta().key()));
    }
    assertThat(owners).isEqualTo(LongStream.range(0, SEQUENCES).boxed().toList());
  }

  @Test
  void news_ofLittle_areOneFrame() {
    long[] keys = begin(SEQUENCES);
    gate.onDeltas(new Deltas(Arrays.stream(keys).mapToObj(key -> pooled(key, 9)).toList()));
    assertThat(told).hasSize(1);
  }

  /** The client is told why, the engine that nobody waits. */
  @Test
  void news_tooLargeToBeSent_endWithARefusalAtBothNodes() {
    long[] keys = begin(1);
    Frame large = new News(List.of(new Item(1, 3, pooled(0, 9))));
    Item instead = ((News) TooLarge.instead(large).orElseThrow()).items().getFirst();
    assertThat(instead.attempt()).isEqualTo(1);
    assertThat(instead.offset()).isEqualTo(3);
    assertThat(instead.delta().key()).isZero();
    assertThat(Objects.requireNonNull(instead.delta().end()).refusal()).isEqualTo(TooLarge.WHY);
    gate.onStop("ingress", (Stop) TooLarge.answer(large).orElseThrow());
    assertThat(gate.wantedCount()).isZero();
    assertThat(((Cancel) sent.getFirst()).keys()).isEqualTo(keys);
    assertThat(told).isEmpty();
  }
}
