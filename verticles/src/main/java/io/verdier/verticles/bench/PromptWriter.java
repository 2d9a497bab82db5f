package io.verdier.verticles.bench;

import io.verdier.verticles.bench.BenchOptions.SharedPrefixes;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;

/**
 * Writes random prompts of a given length. Immutable.
 *
 * <p>Every prompt is {@code the} and then random words. Tokenizers split at spaces before anything
 * else, so that a word costs the same number of tokens wherever it stands; with the cost of each
 * word known, a prompt has exactly the length asked for, without tokenizing it.
 */
final class PromptWriter {
  static final String FIRST_WORD = "the";

  static final List<String> WORDS =
      List.of(
          """
          a about across after again air all along also always am an and animal another answer any
          are around as ask at away back bad be because been before began begin being below best
          better between big bird black blue boat body book both box boy bring brought build but
          by call came can car care carry change city clear close cold come could country course
          cut dark day deep did different do does done door down draw during each early earth east
          easy eat end enough even ever every example eye face fact fall family far farm fast
          father feel feet few field find fire first fish five fly follow food for form found four
          free friend from full game gave get girl give go gold good got great green ground group
          grow had half hand happy hard has have he head hear heart heavy help her here high him
          his hold home horse hot hour house how hundred idea if in inside into is it its just
          keep kind king knew know land large last late law lay learn leave left less let letter
          life light like line list little live long look low made main make man many mark may me
          mean measure men might mile mind money more morning most mother mountain move much music
          must my name near need never new next night no north not note nothing now number of off
          often old on once one only open or order other our out over own page paper part pass
          people picture piece place plan plant play point power problem put question quick rain
          ran read ready real red remember rest right river road rock room round rule run said
          same saw say school sea second see seem sentence set several she ship short should show
          side simple since sing sit six sleep slow small snow so some song soon sound south stand
          star start stay step still stood stop story street strong study such sun sure table take
          talk tell ten test than that them then there these they thing think this those thought
          three through time to together too took top town travel tree true try turn two under
          unit until up upon us use very voice wait walk want war warm was watch water way we week
          well went were west what wheel when where which while white who whole why will wind with
          wood word work world would write year yes yet you young your
          """
              .strip()
              .split("\\s+"));

  private static final int TRIES = 8;

  private final int overhead;
  private final int[] costs;

  /**
   * @param overhead tokens of a prompt that is {@link #FIRST_WORD} alone, template included
   * @param costs tokens that each of {@link #WORDS} adds behind another, ≥ 1
   */
  PromptWriter(int overhead, int[] costs) {
    if (costs.length != WORDS.size()) {
      throw new IllegalArgumentException(costs.length + " costs of " + WORDS.size() + " words");
    }
    this.overhead = overhead;
    this.costs = costs.clone();
  }

  /** One token a word: the best guess where the server does not tokenize for us. */
  static PromptWriter guessing() {
    int[] costs = new int[WORDS.size()];
    Arrays.fill(costs, 1);
    return new PromptWriter(1, costs);
  }

  /**
   * Prompts whose lengths are even between (1 - ratio) and (1 + ratio) times those of the options.
   */
  List<Prompt> write(int count, BenchOptions options, Random random) {
    if (options.sharedPrefixes().isPresent()) {
      return repeating(count, options, options.sharedPrefixes().get(), random);
    }
    List<Prompt> prompts = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      int input = length(options.inputTokens(), options.rangeRatio(), random);
      int output = length(options.outputTokens(), options.rangeRatio(), random);
      prompts.add(write(input, output, random));
    }
    return prompts;
  }

  /** Prompts with beginnings in common, each as often as the others, in random order. */
  private List<Prompt> repeating(
      int count, BenchOptions options, SharedPrefixes shared, Random random) {
    List<Prompt> beginnings = new ArrayList<>();
    for (int i = 0; i < shared.count(); i++) {
      beginnings.add(write(shared.tokens(), options.outputTokens(), random));
    }
    List<Prompt> prompts = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      prompts.add(continued(beginnings.get(i % shared.count()), options.inputTokens(), random));
    }
    Collections.shuffle(prompts, random);
    return prompts;
  }

  /** A prompt of {@code inputTokens}, or of the overhead where that is more. */
  Prompt write(int inputTokens, int outputTokens, Random random) {
    return continued(new Prompt(FIRST_WORD, overhead, outputTokens), inputTokens, random);
  }

  /** The prompt and more words, up to {@code inputTokens}. */
  private Prompt continued(Prompt beginning, int inputTokens, Random random) {
    StringBuilder text = new StringBuilder(beginning.text());
    int tokens = beginning.inputTokens();
    while (tokens < inputTokens) {
      int word = affordable(inputTokens - tokens, random);
      if (word < 0) {
        break; // no word is short enough; better too short than too long
      }
      text.append(' ').append(WORDS.get(word));
      tokens += costs[word];
    }
    return new Prompt(text.toString(), tokens, beginning.outputTokens());
  }

  /** A random word of at most {@code left} tokens, -1 where there is none. */
  private int affordable(int left, Random random) {
    int word = random.nextInt(costs.length);
    for (int tries = 0; tries < TRIES && costs[word] > left; tries++) {
      word = random.nextInt(costs.length);
    }
    for (int passed = 0; passed < costs.length; passed++) {
      if (costs[word] <= left) {
        return word;
      }
      word = (word + 1) % costs.length;
    }
    return -1;
  }

  private static int length(int mean, double ratio, Random random) {
    int low = Math.max(1, (int) (mean * (1 - ratio)));
    int high = (int) Math.min(Integer.MAX_VALUE - 1, mean * (1 + ratio));
    return random.nextInt(low, Math.max(low, high) + 1);
  }
}
