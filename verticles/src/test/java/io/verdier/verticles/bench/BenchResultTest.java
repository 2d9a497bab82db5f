package io.verdier.verticles.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.verdier.verticles.bench.LoadRun.Load;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;

/** Figures done by hand for two answers and a failure. */
class BenchResultTest {
  private static final Offset<Double> EXACT = within(1e-9);
  private static final long MILLI = 1_000_000;

  @Test
  void of_twoAnswersAndAFailure_givesFiguresDoneByHand() {
    BenchResult result = BenchResult.of(load());
    assertThat(result.completed()).isEqualTo(2);
    assertThat(result.failed()).isEqualTo(1);
    assertThat(result.errors()).containsExactly(Map.entry("gone", 1));
    assertThat(result.seconds()).isEqualTo(2);
    assertThat(result.inputTokens()).isEqualTo(40 + 20);
    assertThat(result.outputTokens()).isEqualTo(6 + 2);
    assertThat(result.requestsPerSecond()).isEqualTo(1);
    assertThat(result.outputTokensPerSecond()).isEqualTo(4);
    assertThat(result.tokensPerSecond()).isEqualTo(34);
    assertThat(result.outputTokensPeak()).isEqualTo(6);
    assertThat(result.concurrencyPeak()).isEqualTo(2);
    // First answer: text after 50, 60, 90 ms, six tokens. Second: after 100 and 110 ms, two.
    assertThat(of(result, Metric.TTFT).mean()).isCloseTo(75, EXACT);
    assertThat(of(result, Metric.E2EL).mean()).isCloseTo(100, EXACT);
    assertThat(of(result, Metric.TPOT).sorted()[0]).isCloseTo(40 / 5.0, EXACT);
    assertThat(of(result, Metric.TPOT).sorted()[1]).isCloseTo(10, EXACT);
    assertThat(of(result, Metric.ITL).sorted()).containsExactly(new double[] {10, 10, 30}, EXACT);
  }

  @Test
  void of_oneTokenAnswer_hasNoTpotAndNoItl() {
    RequestTrace trace = answer(0, 5);
    BenchResult result =
        BenchResult.of(new Load(List.of(new Prompt("a", 1, 1)), List.of(trace), 0, 10 * MILLI, 1));
    assertThat(of(result, Metric.TPOT).sorted()).isEmpty();
    assertThat(of(result, Metric.ITL).sorted()).isEmpty();
    assertThat(of(result, Metric.TTFT).median()).isCloseTo(5, EXACT);
  }

  private static Load load() {
    RequestTrace first = answer(0, 50, 60);
    first.at(90 * MILLI);
    RequestTraceTest.give(
        first,
        90 * MILLI,
        "{\"choices\":[{\"text\":\"z\"}],\"usage\":{\"prompt_tokens\":40,\"completion_tokens\":6}}");
    RequestTraceTest.give(first, 90 * MILLI, "[DONE]");
    first.onEnd();
    RequestTrace second = answer(1500, 1600, 1610);
    RequestTraceTest.give(second, 1610 * MILLI, "[DONE]");
    second.onEnd();
    RequestTrace third = new RequestTrace(0, 1);
    third.fail("gone");
    third.fail("not the first reason");
    List<Prompt> prompts =
        List.of(new Prompt("a", 41, 6), new Prompt("b", 20, 2), new Prompt("c", 30, 2));
    return new Load(prompts, List.of(first, second, third), 0, 2000 * MILLI, 2);
  }

  private static RequestTrace answer(long startMillis, long... pieceMillis) {
    RequestTrace trace = new RequestTrace(startMillis * MILLI, 1);
    for (long millis : pieceMillis) {
      RequestTraceTest.give(trace, millis * MILLI, "{\"choices\":[{\"text\":\"x\"}]}");
    }
    return trace;
  }

  private static Distribution of(BenchResult result, Metric metric) {
    return Objects.requireNonNull(result.latencies().get(metric));
  }
}
