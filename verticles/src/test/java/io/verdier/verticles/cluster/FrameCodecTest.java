package io.verdier.verticles.cluster;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.cache.lora.AdapterSource;
import io.verdier.conf.ClusterConfig.Role;
import io.verdier.conf.ServerConfig.Parsing;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.grammar.Constraint;
import io.verdier.engine.model.Classifier;
import io.verdier.engine.model.EmbeddingSpec;
import io.verdier.engine.sample.Pooling;
import io.verdier.engine.sample.Repetition;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.schedule.FinishReason;
import io.verdier.engine.text.TextParams;
import io.verdier.engine.text.reasoning.ReasoningFormat;
import io.verdier.verticles.bus.AdapterCard;
import io.verdier.verticles.bus.CacheRoom;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Demand;
import io.verdier.verticles.bus.DetokenizeQuery;
import io.verdier.verticles.bus.ModelCard;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.bus.Refused;
import io.verdier.verticles.bus.Submit;
import io.verdier.verticles.bus.TokenizeQuery;
import io.verdier.verticles.bus.Truncation;
import io.vertx.core.buffer.Buffer;
import java.math.BigInteger;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.Random;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** Costs less than a second. */
class FrameCodecTest {

  static Submit submit(Prompt prompt, @Nullable Demand demand, int... generated) {
    SamplingParams sampling =
        new SamplingParams(
            0.7f,
            0.9f,
            5,
            0.1f,
            -1.5f,
            2f,
            1.1f,
            -42L,
            Submit.MAX_TOKENS_OPEN,
            3,
            true,
            new int[] {1, 7},
            new int[] {9},
            new float[] {-100f},
            new int[] {4, 5},
            new int[][] {{1, 2}, {3}},
            4,
            -1,
            Pooling.MEAN,
            new int[] {6},
            new Repetition(2, 9, 3));
    return new Submit(
        new long[] {1, Long.MAX_VALUE},
        prompt,
        sampling,
        List.of("bad", "lone \ud800"),
        new Truncation(7, Truncation.End.FIRST),
        new TextParams(
            List.of("\n", "é😀"),
            true,
            false,
            Set.of("<think>"),
            true,
            Optional.of(ReasoningFormat.QWEN3),
            17,
            "Enough.</think>"),
        -3,
        "salt",
        new AdapterSource("gs://b/a", AdapterSource.Namer.OPERATOR, "hash"),
        demand,
        OptionalDouble.of(0.5),
        generated,
        "m");
  }

  private static List<Frame> frames() {
    Map<String, @Nullable Object> message = new LinkedHashMap<>();
    message.put("role", "user");
    message.put("content", Arrays.asList("a", null, true, 1L, 2, 1.5, BigInteger.TWO.pow(80)));
    Prompt chat =
        new Prompt.Chat(
            List.of(message), List.of(Map.of("t", 1L)), message, true, false, true, "x");
    Demand demand =
        new Demand(
            new Constraint.JsonSchema("{}", new Constraint.JsonStyle(true, "[ ]*", true)),
            "response_format",
            true,
            Optional.of(ReasoningFormat.QWEN3));
    Delta.Score score = new Delta.Score(3, "t", new byte[] {-1, 0}, -0.5f, 2);
    Delta.Scores scores = new Delta.Scores(score, List.of(score, score), 19);
    Refused refused = new Refused(ErrorCode.INTERNAL, "no", null);
    Delta full =
        new Delta(
            7,
            new Delta.Start(new int[] {1, 300, 70000}, "tail", "head"),
            "text",
            new int[] {5},
            List.of(scores),
            List.of(scores, scores),
            new float[] {1f, -2.5f},
            4,
            new Delta.End(FinishReason.STOP, "\n", -1, 2, 3, refused));
    Delta bare = new Delta(-1, null, "", new int[0], List.of(), List.of(), null);
    return List.of(
        announce(),
        new Frame.Work(3, submit(chat, demand), new long[] {5, -6}),
        new Frame.Work(1, submit(new Prompt.Text("hi", true), null), new long[] {5, -6}),
        new Frame.Work(
            2, submit(new Prompt.Tokens(new int[] {1, 2}), null, 8, 9), new long[] {5, -6}),
        new Frame.Work(3, submit(new Prompt.Pair("a", "b"), null), new long[] {5, -6}),
        new Frame.Stop(new long[] {1, 2}, new int[] {3, 4}, Frame.Stop.Why.MOVED),
        new Frame.News(List.of(new Frame.Item(1, 0, full), new Frame.Item(2, 9, bare))),
        new Frame.Bounce(new long[] {1}, 2, refused),
        new Frame.Reset(),
        new Frame.Query(5, new TokenizeQuery("m", new Prompt.Text("x", false), true)),
        new Frame.Query(6, new DetokenizeQuery("m", new int[] {1})),
        new Frame.Answer(5, new TokenizeQuery.Reply(new int[] {1}, List.of("x"))),
        new Frame.Answer(6, new DetokenizeQuery.Reply("x")),
        new Frame.Answer(7, refused),
        new Frame.Drain(true));
  }

  private static Frame announce() {
    Classifier classifier =
        new Classifier(List.of("a", "b"), new float[] {1, 2}, Classifier.Activation.SOFTMAX);
    ModelCard card =
        new ModelCard(
            List.of("m"),
            List.of("alias"),
            "root",
            100,
            2048,
            5,
            Map.of("temperature", 0.5),
            Optional.of(new EmbeddingSpec(Pooling.LAST, true, 8, false, new int[] {4}, classifier)),
            new Parsing(true, Optional.of("hermes"), Optional.empty(), "Enough.", false),
            "print",
            List.of(new AdapterCard("a", "r", "m", AdapterSource.ofClient("hf/a"))));
    PrefixSummary prefixes = PrefixSummary.of(List.of(1L, -5L));
    return new Frame.Announce(
        new Announcement(
            "n",
            "h:1",
            "h:2",
            "1",
            Set.of(Role.ENGINE),
            Announcement.Phase.DRAINING,
            Optional.of(card),
            new Announcement.Load(1, 2, 3, 4, 5, 6, 7),
            new Announcement.Tally(8, 9, 10, 11, 12, 13),
            prefixes,
            new CacheRoom(14, 15, 16L << 32, 17L << 32)));
  }

  static Buffer write(Frame frame) {
    WireWriter out = new WireWriter();
    FrameCodec.write(out, frame);
    return out.buffer();
  }

  private static Frame read(Buffer bytes) {
    return FrameCodec.read(new WireReader(bytes, 0, bytes.length()));
  }

  @Test
  void frames_written_readBackTheSame() {
    for (Frame frame : frames()) {
      assertThat(read(write(frame)))
          .usingRecursiveComparison()
          .withStrictTypeChecking()
          .isEqualTo(frame);
    }
  }

  /** Who puts news together must not think them smaller than they are. */
  @Test
  void news_written_haveNoMoreBytesThanWasSaid() {
    int found = 0;
    for (Frame frame : frames()) {
      if (frame instanceof Frame.News news) {
        for (Frame.Item item : news.items()) {
          long bytes = write(new Frame.News(List.of(item))).length();
          assertThat(DeltaCodec.bytesMax(item.delta())).isBetween(bytes, bytes + 512);
          found++;
        }
      }
    }
    assertThat(found).isPositive();
  }

  @Test
  void constraints_each_readBackTheSame() {
    Constraint.JsonStyle style = Constraint.JsonStyle.USUAL;
    for (Constraint constraint :
        List.of(
            new Constraint.JsonObject(style),
            new Constraint.Regex("a+"),
            new Constraint.Choice(List.of("a", "b")),
            new Constraint.Rules("root ::= \"a\""),
            new Constraint.StructuralTag("{}", style, List.of("<a>", "<b>")))) {
      Frame frame =
          new Frame.Work(
              1,
              submit(new Prompt.Text("x", true), new Demand(constraint, "p")),
              new long[] {5, -6});
      assertThat(read(write(frame))).usingRecursiveComparison().isEqualTo(frame);
    }
  }

  /** Whatever is changed, nothing but a refusal or another frame comes of it, and quickly. */
  @Test
  void frames_damaged_areRefusedOrReadAndNeverFail() {
    Random random = new Random(1);
    for (int round = 0; round < 300; round++) {
      for (Frame frame : frames()) {
        byte[] bytes = write(frame).getBytes();
        int changes = 1 + random.nextInt(3);
        for (int i = 0; i < changes; i++) {
          bytes[random.nextInt(bytes.length)] = (byte) random.nextInt();
        }
        int length = random.nextInt(4) == 0 ? random.nextInt(bytes.length) : bytes.length;
        try {
          read(Buffer.buffer(Arrays.copyOf(bytes, length)));
        } catch (WireException refused) {
          assertThat(refused).hasMessageNotContaining("verdier");
        }
      }
    }
  }

  @Test
  void json_nestedTooDeeply_isRefused() {
    WireWriter out = new WireWriter();
    for (int i = 0; i < 100_000; i++) {
      out.octet(WireWriter.LIST).number(1);
    }
    Buffer bytes = out.octet(WireWriter.NULL).buffer();
    assertThatThrownBy(() -> new WireReader(bytes, 0, bytes.length()).json())
        .isInstanceOf(WireException.class);
  }

  @Test
  void count_beyondTheBytes_isRefusedBeforeMemoryIsAskedFor() {
    Buffer bytes = new WireWriter().number(Integer.MAX_VALUE).buffer();
    assertThatThrownBy(() -> new WireReader(bytes, 0, bytes.length()).longs())
        .isInstanceOf(WireException.class);
  }
}
