package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.backend.cuda.CudaBackend.Options;
import io.verdier.engine.backend.cuda.TestCuda;
import io.verdier.engine.grammar.Constraint;
import io.verdier.engine.grammar.GrammarState;
import io.verdier.engine.grammar.Guide;
import io.verdier.engine.grammar.TokenGrammar;
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
import java.util.Objects;
import java.util.OptionalInt;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Tokens that can only follow need no step, are those that the tokenizer spells the text with, and
 * are the same where a step is spent on each.
 */
class ForcedRunTest {
  private static final int LENGTH_MAX = 128;
  private static final int BLOCKS = 64;
  private static final int[] PROMPT = {5, 300, 4000, 12, 44};
  private static final DemoVocabulary VOCABULARY = DemoVocabulary.load();
  private static final Guide GUIDE =
      VOCABULARY.regex(
          "\\{\"the name of the animal\": \"[A-Z][a-z]{2,9}\", \"how many years it has lived\":"
              + " [1-9][0-9]?, \"is it hungry\": (true|false)\\}");

  private static final ModelRunner PROCESSOR = runner(cpu());
  private static List<Integer> whole = List.of();
  private static int plansOfWhole;

  @BeforeAll
  static void runIt() {
    Engine engine = engine(PROCESSOR, 1);
    whole = heard(engine, request(params(), GUIDE)).tokens;
    plansOfWhole = engine.plans();
  }

  @AfterAll
  static void close() {
    PROCESSOR.close();
  }

  @Test
  void run_textWithoutChoice_takesFewerStepsThanTokens() {
    assertThat(VOCABULARY.text(whole)).startsWith("{\"the name of").endsWith("}");
    assertThat(2 * plansOfWhole).isLessThan(whole.size());
  }

  /** Nowhere does it matter how a sequence came to its tokens. */
  @ParameterizedTest
  @ValueSource(ints = {1, 2})
  void run_takenUpBehindEveryToken_goesOnTheSame(int plans) {
    try (ModelRunner late = runner(TestCuda.lateBackend(Options.defaults()))) {
      List<Integer> there = heard(engine(late, plans), request(params(), GUIDE)).tokens;
      for (int said = 1; said < there.size(); said++) {
        EngineRequest rest = request(params(), GUIDE, there.subList(0, said));
        assertThat(heard(engine(late, plans), rest).tokens)
            .as("behind %s tokens", said)
            .isEqualTo(there.subList(said, there.size()));
      }
    }
  }

  @Test
  void run_takenUpInTheMiddleOnTheProcessor_goesOnTheSame() {
    for (int said = 1; said < whole.size(); said++) {
      EngineRequest rest = request(params(), GUIDE, whole.subList(0, said));
      assertThat(heard(engine(PROCESSOR, 1), rest).tokens)
          .as("behind %s tokens", said)
          .isEqualTo(whole.subList(said, whole.size()));
    }
  }

  @Test
  void run_withLogprobs_scoresEachOfTheSameTokens() {
    ParamsBuilder params = params();
    params.logprobs = 0;
    Engine engine = engine(PROCESSOR, 1);
    assertThat(heard(engine, request(params, GUIDE)).tokens).isEqualTo(whole);
    assertThat(engine.plans()).isEqualTo(whole.size());
  }

  @Test
  void run_mostTokensWithinARun_endsThere() {
    for (int most = 1; most <= whole.size(); most++) {
      ParamsBuilder params = params();
      params.maxTokens = most;
      Heard heard = heard(engine(PROCESSOR, 1), request(params, GUIDE));
      assertThat(heard.tokens).isEqualTo(whole.subList(0, most));
      assertThat(heard.text()).startsWith(most < whole.size() ? "LENGTH -1 " + most : "STOP");
    }
  }

  @Test
  void run_lengthOfTheModelWithinARun_endsThere() {
    Guide endless = VOCABULARY.regex("(we walk on and on, ){100}");
    ParamsBuilder params = params();
    params.maxTokens = 1000;
    Heard heard = heard(engine(PROCESSOR, 2), request(params, endless));
    assertThat(heard.tokens).hasSize(LENGTH_MAX - PROMPT.length);
    assertThat(heard.text()).startsWith("LENGTH");
  }

  @Test
  void run_stopTokenWithinARun_isChosenOrNot() {
    int stop = whole.get(4);
    ParamsBuilder params = params();
    params.stopIds = new int[] {stop};
    Heard heard = heard(engine(PROCESSOR, 1), request(params, GUIDE));
    if (heard.tokens.contains(stop)) {
      assertThat(heard.text()).startsWith("STOP " + stop + " " + heard.tokens.size());
      assertThat(heard.tokens.getLast()).isEqualTo(stop);
    }
    params.minTokens = 20; // it must not come before, so other tokens spell the text
    heard = heard(engine(PROCESSOR, 1), request(params, GUIDE));
    assertThat(heard.tokens.subList(0, 19)).doesNotContain(stop);
    assertThat(VOCABULARY.text(heard.tokens)).startsWith("{\"the name of the");
  }

  @Test
  void run_forcedTokenForbidden_isSpelledByOthers() {
    ParamsBuilder params = params();
    params.badWords = new int[][] {{whole.get(4)}};
    Heard heard = heard(engine(PROCESSOR, 1), request(params, GUIDE));
    assertThat(heard.tokens).doesNotContain(whole.get(4));
    assertThat(VOCABULARY.text(heard.tokens)).startsWith("{\"the name of the animal\": \"");
  }

  /** Whatever comes behind the forced tokens, the whole text is spelled with them. */
  @Test
  void forcedToken_beforeAChoice_isHowTheTokenizerSpellsBoth() {
    String[] words =
        "the quick brown foxes' \"tail\": 10 + 2 = wonder-ful; [\"naïve\", {}]".split(" ");
    int forced = 0;
    for (int i = 0; i < words.length; i++) {
      for (String end : new String[] {"", " ", "s", "\"", "\": ", "1"}) {
        String shared = String.join(" ", Arrays.asList(words).subList(0, i + 1)) + end;
        List<String> texts = List.of(shared + "ing there", shared + "er", shared + " \"x\": 7");
        List<Integer> run = run(VOCABULARY.guide(new Constraint.Choice(texts)));
        for (String text : texts) {
          int[] spelled = VOCABULARY.tokenizer.encode(text, false);
          assertThat(run)
              .as(text)
              .isEqualTo(Arrays.stream(spelled).boxed().limit(run.size()).toList());
        }
        forced += run.size();
      }
    }
    assertThat(forced).isGreaterThan(50);
  }

  private static List<Integer> run(Guide guide) {
    TokenGrammar grammar = new TokenGrammar(guide.grammar(), guide.trie());
    List<Integer> run = new ArrayList<>();
    GrammarState state = grammar.start();
    for (int token = grammar.forcedToken(state); token >= 0; ) {
      run.add(token);
      state = Objects.requireNonNull(grammar.next(state, token));
      token = grammar.forcedToken(state);
    }
    return run;
  }

  private static ParamsBuilder params() {
    ParamsBuilder params = new ParamsBuilder();
    params.seed = 11;
    params.temperature = 1.2f;
    params.maxTokens = 100;
    return params;
  }

  private static Engine engine(ModelRunner runner, int plans) {
    return new Engine(runner, 40, BLOCKS, LENGTH_MAX, plans);
  }

  private static Backend cpu() {
    return new CpuBackend(OptionalInt.of(1), CpuBackend.KernelForm.VECTOR);
  }

  private static ModelRunner runner(Backend backend) {
    LoadedModel model =
        ModelLoader.load(
            Golden.DRAFT,
            TestConfig.of(2048, 64, OptionalInt.of(LENGTH_MAX), OptionalInt.of(BLOCKS)),
            backend,
            (done, total) -> {});
    return new ModelRunner(model, 2048, 64);
  }

  private static Heard heard(Engine engine, EngineRequest request) {
    return Objects.requireNonNull(engine.run(List.of(request), Map.of()).get(request.key()));
  }

  private static EngineRequest request(ParamsBuilder params, Guide guide) {
    return request(params, guide, List.of());
  }

  /** One that has said some tokens elsewhere. */
  private static EngineRequest request(ParamsBuilder params, Guide guide, List<Integer> said) {
    int[] tokens = Arrays.copyOf(PROMPT, PROMPT.length + said.size());
    for (int i = 0; i < said.size(); i++) {
      tokens[PROMPT.length + i] = said.get(i);
    }
    TextParams text = new TextParams(List.of(), false, true, true);
    return new EngineRequest(1, tokens, PROMPT.length, params.build(), text, 0, "", "", guide);
  }
}
