package io.verdier.verticles.cluster.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.run.pipeline.StageResult.Choices;
import io.verdier.engine.run.pipeline.StageResult.Confirmed;
import io.verdier.engine.run.pipeline.StageResult.Fault;
import io.verdier.engine.run.pipeline.StageResult.Score;
import io.verdier.engine.run.pipeline.StageResult.States;
import io.verdier.engine.run.pipeline.StageResult.Token;
import io.verdier.engine.run.pipeline.StageResult.Vacated;
import io.verdier.engine.run.pipeline.StageWork.Choose;
import io.verdier.engine.run.pipeline.StageWork.Confirm;
import io.verdier.engine.run.pipeline.StageWork.Mask;
import io.verdier.engine.run.pipeline.StageWork.Pool;
import io.verdier.engine.run.pipeline.StageWork.Rows;
import io.verdier.engine.run.pipeline.StageWork.Slice;
import io.verdier.engine.run.pipeline.StageWork.Start;
import io.verdier.engine.run.pipeline.StageWork.Vacate;
import io.verdier.engine.run.pipeline.StageWork.Wanted;
import io.verdier.engine.sample.Sampled;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.verticles.cluster.WireException;
import io.verdier.verticles.cluster.pipeline.StageFrame.Alive;
import io.verdier.verticles.cluster.pipeline.StageFrame.Attach;
import io.verdier.verticles.cluster.pipeline.StageFrame.Bye;
import io.verdier.verticles.cluster.pipeline.StageFrame.Failed;
import io.verdier.verticles.cluster.pipeline.StageFrame.Hello;
import io.verdier.verticles.cluster.pipeline.StageFrame.Ready;
import io.verdier.verticles.cluster.pipeline.StageFrame.Refused;
import io.verdier.verticles.cluster.pipeline.StageFrame.Result;
import io.verdier.verticles.cluster.pipeline.StageFrame.Welcome;
import io.verdier.verticles.cluster.pipeline.StageFrame.Work;
import io.vertx.core.buffer.Buffer;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Costs some milliseconds. */
class StageCodecTest {
  private static final TokenLogprobs LOGPROBS =
      new TokenLogprobs(7, -0.25f, 3, new int[] {1, 4095}, new float[] {-0.1f, Float.MIN_VALUE});

  static List<StageFrame> frames() {
    return List.of(
        new Hello(3, Map.of("--block-size", "16", "Verdier", "1"), 1 << 20, 29_503),
        new Welcome(77, "fe80::1%eth0", 65_535),
        new Refused("node 1 has --block-size 8"),
        new Attach(1),
        new Ready(),
        new Alive(),
        new Failed("why"),
        new Bye(),
        new Work(rows(0f, -0f, Float.MIN_VALUE, Float.NEGATIVE_INFINITY)),
        new Work(
            new Choose(
                new long[] {Long.MIN_VALUE, 5},
                List.of(
                    new Wanted(
                        0,
                        12,
                        9,
                        new Start(new int[] {1, 2, 3}, 2, SamplingParams.scores(4, 2, 1)),
                        Wanted.CHOOSE,
                        3,
                        new int[0],
                        new Mask(new long[] {-1, 1L << 63}, true, false)),
                    new Wanted(4, 1, 10, null, 4095, 7, new int[] {8, 9}, null)))),
        new Work(new Pool(new int[] {0, 5, 2047})),
        new Work(new Vacate()),
        new Work(new Confirm()),
        new Result(
            new Choices(
                List.of(
                    new Token(new Sampled(5, null)),
                    new Token(new Sampled(6, LOGPROBS)),
                    new Score(LOGPROBS),
                    new Fault(ErrorCode.INVALID_ARGUMENT, "no token is left")))),
        new Result(new States(new float[] {1.5f, -0f})),
        new Result(new Vacated()),
        new Result(new Confirmed()));
  }

  private static Rows rows(float... values) {
    return new Rows(
        3, List.of(new Slice(0, 1, new int[] {9}), new Slice(40, 1, new int[] {1, 2, 3})), values);
  }

  @ParameterizedTest
  @MethodSource("frames")
  void frame_writtenAndRead_isTheSame(StageFrame frame) {
    assertThat(StageCodec.read(StageCodec.write(frame)))
        .usingRecursiveComparison()
        .isEqualTo(frame);
  }

  @Test
  void rows_writtenAndRead_haveTheSameBits() {
    Rows rows = rows(-0f, Float.MIN_VALUE, Float.intBitsToFloat(0x7fc0_0123)); // a NaN of many
    Work read = (Work) StageCodec.read(StageCodec.write(new Work(rows)));
    float[] values = ((Rows) read.work()).values();
    for (int i = 0; i < values.length; i++) {
      assertThat(Float.floatToRawIntBits(values[i]))
          .isEqualTo(Float.floatToRawIntBits(rows.values()[i]));
    }
  }

  @ParameterizedTest
  @MethodSource("frames")
  void frame_cutOrLonger_isRefused(StageFrame frame) {
    Buffer bytes = StageCodec.write(frame);
    for (int length = 0; length < bytes.length(); length++) {
      Buffer cut = bytes.getBuffer(0, length);
      assertThatThrownBy(() -> StageCodec.read(cut)).isInstanceOf(WireException.class);
    }
    Buffer longer = bytes.copy().appendByte((byte) 0);
    assertThatThrownBy(() -> StageCodec.read(longer)).isInstanceOf(WireException.class);
  }

  /** Whatever comes, it is a frame or refused, and costs no more memory than it is long. */
  @Test
  void bytes_changedAnyhow_areReadOrRefused() {
    Random random = new Random(Long.getLong("seed", 5));
    List<StageFrame> frames = frames();
    int refused = 0;
    for (int i = 0; i < 20_000; i++) {
      byte[] bytes = StageCodec.write(frames.get(i % frames.size())).getBytes();
      for (int changes = random.nextInt(1, 4); changes > 0; changes--) {
        bytes[random.nextInt(bytes.length)] = (byte) random.nextInt();
      }
      try {
        StageCodec.read(Buffer.buffer(bytes));
      } catch (WireException bad) {
        refused++;
      }
    }
    assertThat(refused).isGreaterThan(5_000);
  }
}
