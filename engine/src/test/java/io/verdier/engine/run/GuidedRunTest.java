package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.backend.cuda.CudaBackend.Options;
import io.verdier.engine.backend.cuda.TestCuda;
import io.verdier.engine.grammar.Constraint;
import io.verdier.engine.grammar.Guide;
import io.verdier.engine.grammar.Thinking;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelLoader;
import io.verdier.engine.run.Engine.Heard;
import io.verdier.engine.sample.ParamsBuilder;
import io.verdier.engine.schedule.EngineRequest;
import io.verdier.engine.text.TextParams;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Answers that are held to something match it, and are the same to the bit alone, together, in
 * pieces, preempted, planned ahead and taken up anywhere; their neighbours do not notice.
 */
class GuidedRunTest {
  private static final int LENGTH_MAX = 128;
  private static final int BLOCKS = 128;
  private static final int ALL_AT_ONCE = 1024;
  private static final DemoVocabulary VOCABULARY = DemoVocabulary.load();

  /** Regular expressions that java.util.regex reads alike; null: a neighbour without one. */
  private static final List<@Nullable String> PATTERNS =
      Arrays.asList(
          "(yes|no|maybe)",
          "[0-9]{3}-[0-9]{4}",
          null,
          "[a-z]+( [a-z]+){3}\\.",
          "\\{\"name of the cat\": \"[A-Z][a-z]{2,9}\", \"age in years\": [1-9][0-9]?\\}",
          "[äöü€😀]{4,6}",
          null,
          "(ab)*c?");

  private static List<EngineRequest> requests = List.of();
  private static Map<Long, String> expected = Map.of();
  private static Map<Long, String> expectedOnTheProcessor = Map.of();

  @BeforeAll
  static void runOneAfterTheOther() {
    List<EngineRequest> all = new ArrayList<>();
    List<int[]> prompts =
        Golden.cases("logits.json").stream()
            .map(Golden.Case::ids)
            .filter(ids -> ids.length < 60)
            .toList();
    for (int i = 0; i < 3 * PATTERNS.size(); i++) {
      all.add(request(i, prompts.get(i % prompts.size())));
    }
    requests = all;
    expected = alone(TestCuda::backend);
    expectedOnTheProcessor = alone(ignored -> cpu());
  }

  /** What a client may ask beside a constraint. */
  private static EngineRequest request(int i, int[] prompt) {
    ParamsBuilder params = i % 5 == 4 ? new ParamsBuilder() : CudaSamplingTest.builder(i % 7);
    params.seed = i;
    params.temperature = i % 4 == 0 ? 0 : 1.5f;
    params.maxTokens = 60;
    params.ignoreEos = i % 6 == 5;
    EngineRequest request =
        new EngineRequest(
            i,
            prompt,
            prompt.length,
            params.build(),
            new TextParams(List.of(), false, true, true),
            0,
            "",
            "");
    String pattern = pattern(i);
    return pattern == null ? request : request.with(VOCABULARY.regex(pattern));
  }

  private static @Nullable String pattern(long key) {
    return PATTERNS.get((int) key % PATTERNS.size());
  }

  private interface Backends {
    Backend open(Options options);
  }

  private static Map<Long, String> alone(Backends backends) {
    Map<Long, String> texts = new TreeMap<>();
    LoadedModel model = load(backends.open(Options.defaults()), BLOCKS);
    try (ModelRunner runner = new ModelRunner(model, 2048, 64)) {
      for (EngineRequest request : requests) {
        Engine engine = new Engine(runner, ALL_AT_ONCE, BLOCKS, LENGTH_MAX, 1);
        engine
            .run(List.of(request), Map.of())
            .forEach((key, heard) -> texts.put(key, heard.text()));
      }
    }
    return texts;
  }

  private static LoadedModel load(Backend backend, int blocks) {
    return ModelLoader.load(
        Golden.DRAFT,
        TestConfig.of(2048, 64, OptionalInt.of(LENGTH_MAX), OptionalInt.of(blocks)),
        backend,
        (done, total) -> {});
  }

  private static Backend cpu() {
    return new CpuBackend(OptionalInt.of(1), CpuBackend.KernelForm.VECTOR);
  }

  private static Map<Long, Heard> run(
      Backend backend, List<EngineRequest> all, int tokens, int blocks, int plans) {
    LoadedModel model = load(backend, blocks);
    try (ModelRunner runner = new ModelRunner(model, 2048, 64)) {
      Engine engine = new Engine(runner, tokens, blocks, LENGTH_MAX, plans);
      Map<Long, Heard> heard = engine.run(all, Map.of());
      assertThat(engine.preemptions() > 0).isEqualTo(blocks < BLOCKS);
      return heard;
    }
  }

  private static Map<Long, String> texts(Map<Long, Heard> heard) {
    Map<Long, String> texts = new TreeMap<>();
    heard.forEach((key, stream) -> texts.put(key, stream.text()));
    return texts;
  }

  @ParameterizedTest
  @CsvSource({"1024,128,1", "16,128,2", "7,128,1", "1024,128,2", "60,12,2", "60,12,1"})
  void run_togetherOnADevice_givesWhatEachGivesAlone(int tokens, int blocks, int plans) {
    Backend late = TestCuda.lateBackend(Options.defaults());
    assertThat(texts(run(late, requests, tokens, blocks, plans))).isEqualTo(expected);
  }

  @ParameterizedTest
  @CsvSource({"1024,128,1", "16,128,2", "60,12,1", "60,12,2"})
  void run_togetherOnTheProcessor_givesWhatEachGivesAlone(int tokens, int blocks, int plans) {
    assertThat(texts(run(cpu(), requests, tokens, blocks, plans)))
        .isEqualTo(expectedOnTheProcessor);
  }

  @Test
  void run_constrained_matchesOrIsTheBeginningOfAMatch() {
    int complete = 0;
    Map<Long, Heard> heard = run(cpu(), requests, ALL_AT_ONCE, BLOCKS, 1);
    for (Map.Entry<Long, Heard> stream : heard.entrySet()) {
      String pattern = pattern(stream.getKey());
      if (pattern == null) {
        continue;
      }
      String text = VOCABULARY.text(stream.getValue().tokens);
      var matcher = Pattern.compile(pattern).matcher(text);
      boolean isEnded = stream.getValue().text().startsWith("STOP -1");
      assertThat(matcher.matches() || (!isEnded && isBegun(matcher)))
          .as("%s: %s", pattern, stream.getValue().text())
          .isTrue();
      complete += isEnded ? 1 : 0;
    }
    assertThat(complete).isGreaterThan(10);
  }

  /** As after a preemption, or a move from another node: all but the first tokens come anew. */
  @Test
  void run_takenUpAnywhere_goesOnAsIfNothingHadBeen() {
    Map<Long, Heard> whole = run(cpu(), requests, ALL_AT_ONCE, BLOCKS, 1);
    for (int said : new int[] {1, 2, 5, 9}) {
      List<EngineRequest> later = new ArrayList<>();
      for (EngineRequest request : requests) {
        List<Integer> tokens = Engine.of(whole, request).tokens;
        if (tokens.size() > said && request.guide() != null) {
          later.add(Engine.continued(request, tokens.subList(0, said)));
        }
      }
      Map<Long, Heard> rest = run(cpu(), later, 30, BLOCKS, 1);
      for (EngineRequest request : later) {
        List<Integer> tokens = Engine.of(whole, request).tokens;
        assertThat(Engine.of(rest, request).tokens)
            .as("behind %s tokens of %s", said, request.key())
            .isEqualTo(tokens.subList(said, tokens.size()));
      }
    }
  }

  @Test
  void run_minTokensBeforeTheOnlyEnd_endsAllTheSame() {
    ParamsBuilder params = new ParamsBuilder();
    params.minTokens = 30;
    params.maxTokens = 40;
    Heard heard = alone(params, VOCABULARY.regex("(yes|no)"));
    assertThat(VOCABULARY.text(heard.tokens)).matches("yes|no");
    assertThat(heard.text()).startsWith("STOP -1");
  }

  @Test
  void run_minTokensBeforeAPossibleEnd_goesOn() {
    ParamsBuilder params = new ParamsBuilder();
    params.minTokens = 30;
    params.maxTokens = 40;
    Heard heard = alone(params, VOCABULARY.regex("[a-z ]*"));
    assertThat(heard.tokens).hasSizeGreaterThanOrEqualTo(30);
  }

  @Test
  void run_nothingLeftOfTwoConditions_failsAlone() {
    ParamsBuilder params = new ParamsBuilder();
    params.allowed = new int[] {VOCABULARY.tokenizer.encode("z", false)[0]};
    Heard heard = alone(params, VOCABULARY.guide(new Constraint.Choice(List.of("yes", "no"))));
    assertThat(heard.text()).startsWith("ERROR").contains("what the answer must match");
  }

  @Test
  void run_behindWhatTheModelThinks_beginsThere() {
    int[] marker = VOCABULARY.tokenizer.encode(" the", false);
    assertThat(marker).hasSize(1);
    ParamsBuilder params = new ParamsBuilder();
    params.seed = 3;
    params.maxTokens = 100;
    Thinking thinking = new Thinking(true, new int[0], marker, List.of());
    Guide guide = VOCABULARY.regex("[0-9]{5}").behind(thinking);
    Heard heard = alone(params, guide);
    String text = VOCABULARY.text(heard.tokens);
    String marked = VOCABULARY.tokenizer.decode(marker, false);
    assertThat(text).contains(marked);
    assertThat(text.substring(text.indexOf(marked) + marked.length())).matches("[0-9]{5}");
  }

  private static Heard alone(ParamsBuilder params, Guide guide) {
    int[] prompt = requests.getFirst().tokens();
    EngineRequest request =
        new EngineRequest(
            7,
            prompt,
            prompt.length,
            params.build(),
            new TextParams(List.of(), false, true, true),
            0,
            "",
            "",
            guide);
    return Engine.of(run(cpu(), List.of(request), ALL_AT_ONCE, BLOCKS, 1), request);
  }

  /** Whether more text could make it match. */
  @SuppressWarnings("JdkObsolete") // nothing else tells a beginning from a mismatch
  private static boolean isBegun(Matcher matcher) {
    return matcher.hitEnd();
  }
}
