package io.verdier.verticles.token;

import io.verdier.engine.RejectedException;
import io.verdier.engine.grammar.Thinking;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.schedule.BeamSearch;
import io.verdier.engine.schedule.EngineRequest;
import io.verdier.engine.text.TextParams;
import io.verdier.engine.text.ThinkingBudget;
import io.verdier.engine.text.Tokenizer;
import io.verdier.engine.text.reasoning.ReasoningFormat;
import io.verdier.verticles.bus.Demand;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.bus.Submit;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Prompts to token ids, and submissions to engine requests. Immutable and thread-safe.
 *
 * @param maxModelLen most tokens of prompt and continuation together
 * @param newTokensMax most tokens of any continuation, {@link Integer#MAX_VALUE} where the model
 *     sets no bound
 * @param width of a hidden state
 */
public record PromptEncoder(
    Tokenizer tokenizer, ChatRenderer renderer, int maxModelLen, int newTokensMax, int width) {

  /**
   * Most scores of one prompt's, or one answer's, tokens: the token's own and the most probable
   * ones at each position. A score is some 200 bytes as text, bytes and JSON, so a prompt pins 200
   * MB at most; the 21 scores of {@code prompt_logprobs=20} fit 47,000 tokens.
   */
  static final long SCORES_MAX = 1_000_000;

  /** Answers of any length may have so many for each token: they are told as they come. */
  private static final int LOGPROBS_UNBOUNDED_MAX = 100;

  /** Most numbers of one prompt's hidden states: 4 MiB. One hidden state is possible always. */
  static final long POOLED_FLOATS_MAX = 1L << 20;

  private static final String PROMPT = "prompt";

  /** A template closes a prompt with a marker and a line break or two, each a token or several. */
  static final int TAIL_TOKENS = 16;

  /** The end of a prompt as text, special tokens included: a template may open thoughts there. */
  static String tail(Tokenizer tokenizer, int[] prompt) {
    return tokenizer.decode(tail(prompt), false);
  }

  /** The last tokens of a prompt. */
  static int[] tail(int[] prompt) {
    return Arrays.copyOfRange(prompt, Math.max(0, prompt.length - TAIL_TOKENS), prompt.length);
  }

  /**
   * What answers must match; null where there is nothing. Special tokens that are shown in the text
   * may mark calls.
   */
  @Nullable Demand demand(Submit submit) {
    Demand demand = submit.demand();
    return demand == null || !demand.isTriggered()
        ? demand
        : demand.marked(
            submit.text().visibleTokens().stream().filter(tokenizer::hasSpecial).sorted().toList());
  }

  /** What the model may think behind a prompt before it answers. */
  Thinking thinking(ReasoningFormat format, int[] prompt) {
    ReasoningFormat.Start start = format.startAfter(tail(tokenizer, prompt));
    if (start == ReasoningFormat.Start.CONTENT) {
      return Thinking.NONE;
    }
    List<String> spelled =
        format.endings().stream().filter(text -> tokenizer.encode(text, false).length > 1).toList();
    boolean isOpen = start == ReasoningFormat.Start.REASONING;
    return new Thinking(isOpen, tokens(format.openings()), tokens(format.endings()), spelled);
  }

  /** Of the texts that are a token each. */
  private int[] tokens(List<String> texts) {
    return texts.stream()
        .map(text -> tokenizer.encode(text, false))
        .filter(ids -> ids.length == 1)
        .mapToInt(ids -> ids[0])
        .toArray();
  }

  /**
   * The prompt's token ids, however many.
   *
   * @throws RejectedException where the prompt cannot be encoded
   */
  public int[] encode(Prompt prompt) {
    return switch (prompt) {
      case Prompt.Tokens tokens -> known(tokens.ids());
      case Prompt.Pair(String first, String second) ->
          tokenizer.encodePair(bounded(PROMPT, first), bounded(PROMPT, second));
      case Prompt.Text text ->
          tokenizer.encode(bounded(PROMPT, text.text()), text.addSpecialTokens());
      case Prompt.Chat chat -> {
        String text = renderer.render(chat);
        yield tokenizer.encode(bounded(PROMPT, text), chat.addSpecialTokens());
      }
    };
  }

  /**
   * Refuses what cannot fit before it is encoded: a token spells at most so many bytes, so a text
   * of more characters than that, times the model's length, has too many tokens; and encoding
   * megabytes takes seconds.
   */
  private String bounded(String field, String text) {
    long charsMax = (long) tokenizer.tokenBytesMax() * maxModelLen;
    if (text.length() > charsMax) {
      throw RejectedException.invalid(
          field,
          "%s has %d characters; this model accepts %d tokens, which is at most %d characters. Shorten it or start with a larger --max-model-len."
              .formatted(field, text.length(), maxModelLen, charsMax));
    }
    return text;
  }

  private int[] known(int[] ids) {
    for (int id : ids) {
      if (!tokenizer.contains(id)) {
        throw RejectedException.invalid(
            "prompt", "prompt holds the token id %d, which the vocabulary lacks.".formatted(id));
      }
    }
    return ids;
  }

  /**
   * One request per key, all with the same prompt, or one search for all of them. The scores of the
   * prompt are the same for every choice, so only the first one reports them.
   *
   * @throws RejectedException where prompt and {@code max_tokens} do not fit the model, where the
   *     prompt would have too many scores, or where reasoning could not be ended in time
   */
  public List<EngineRequest> requests(Submit submit) {
    int[] prompt = truncated(encode(submit.prompt()), submit);
    SamplingParams asked = submit.sampling();
    int maxTokens = maxTokens(prompt.length, asked.maxTokens());
    // Each choice of a text tells them again, while a chat tells them once.
    long times = submit.prompt() instanceof Prompt.Chat ? 1 : submit.keys().length;
    boundScores("prompt_logprobs", prompt.length * times, asked.promptLogprobs());
    if (asked.logprobs() > LOGPROBS_UNBOUNDED_MAX) {
      boundScores("logprobs", (long) maxTokens * submit.keys().length, asked.logprobs());
    }
    boundPooled(asked.pooling().vectors(prompt.length));
    SamplingParams resolved =
        asked.withMaxTokens(maxTokens).withBadWords(badWords(submit.badWords()));
    if (submit.lengthPenalty().isPresent() && maxTokens > 0) {
      BeamSearch search = new BeamSearch(submit.keys(), submit.lengthPenalty().getAsDouble());
      return List.of(request(submit, 0, prompt, prompt.length, resolved).with(search));
    }
    SamplingParams unscored = resolved.withoutPromptLogprobs();
    ThinkingBudget budget = budget(submit.text(), prompt, resolved);
    int[] known = behind(prompt, submit.generated());
    List<EngineRequest> requests = new ArrayList<>(submit.keys().length);
    for (int choice = 0; choice < submit.keys().length; choice++) {
      SamplingParams own = (choice == 0 ? resolved : unscored).withSeed(asked.seed() + choice);
      EngineRequest request = request(submit, choice, known, prompt.length, own);
      requests.add(budget == null ? request : request.with(budget));
    }
    return requests;
  }

  private static EngineRequest request(
      Submit submit, int choice, int[] known, int promptTokens, SamplingParams sampling) {
    return new EngineRequest(
        submit.keys()[choice],
        known,
        promptTokens,
        sampling,
        submit.text(),
        submit.priority(),
        submit.cacheSalt(),
        "");
  }

  /** How long the answers may think; null: as long as they like. */
  private @Nullable ThinkingBudget budget(TextParams text, int[] prompt, SamplingParams sampling) {
    if (text.thoughts().isEmpty() || text.thoughtTokensMax() == TextParams.UNBOUNDED) {
      return null;
    }
    String end = text.thoughtsEnd().isEmpty() ? mark(text) : text.thoughtsEnd();
    int[] ending = tokenizer.encode(end, false);
    if (!IntStream.of(ending).allMatch(token -> maySay(token, sampling))) {
      throw RejectedException.invalid(
          "thinking_token_budget",
          "thinking_token_budget: the tokens that end reasoning may not be said, by"
              + " allowed_token_ids, bad_words, or min_tokens and stop_token_ids. Leave one out.");
    }
    return new ThinkingBudget(tokenizer, text, tail(prompt), ending);
  }

  private static String mark(TextParams text) {
    return text.thoughts().orElseThrow().endings().getFirst();
  }

  /** Whether nothing that the client asks can forbid a token. */
  private static boolean maySay(int token, SamplingParams sampling) {
    int[] allowed = sampling.allowedTokenIds(); // sorted, as the others
    boolean isStop = Arrays.binarySearch(sampling.stopTokenIds(), token) >= 0;
    return (allowed.length == 0 || Arrays.binarySearch(allowed, token) >= 0)
        && Arrays.stream(sampling.badWords()).noneMatch(word -> word[word.length - 1] == token)
        && !(isStop && sampling.minTokens() > 0);
  }

  /** A sequence that moved here has more than its prompt. */
  private static int[] behind(int[] prompt, int[] generated) {
    if (generated.length == 0) {
      return prompt;
    }
    int[] known = Arrays.copyOf(prompt, prompt.length + generated.length);
    System.arraycopy(generated, 0, known, prompt.length, generated.length);
    return known;
  }

  /** A prompt cut to the model's length leaves room for what was asked for, one token at least. */
  private int[] truncated(int[] prompt, Submit submit) {
    int asked = submit.sampling().maxTokens();
    int room = asked == Submit.MAX_TOKENS_OPEN ? 1 : asked;
    return submit.truncation().within(Math.max(1, maxModelLen - room)).of(prompt);
  }

  private int maxTokens(int promptTokens, int asked) {
    if (promptTokens == 0) {
      throw RejectedException.invalid("prompt", "prompt is empty; give at least one token.");
    }
    int room = maxModelLen - promptTokens;
    boolean scoringOnly = asked == 0;
    if (room < 0 || (room == 0 && !scoringOnly)) {
      throw RejectedException.invalid(
          "prompt",
          "prompt has %d tokens; this model accepts %d, the answer included. Shorten the prompt or start with a larger --max-model-len."
              .formatted(promptTokens, maxModelLen));
    }
    if (asked == Submit.MAX_TOKENS_OPEN) {
      return Math.min(room, newTokensMax);
    }
    if (asked > room) {
      throw RejectedException.invalid(
          "max_tokens",
          "This model's maximum context length is %d tokens, but %d were asked for: %d of the prompt and %d of max_tokens. Shorten the prompt or lower max_tokens to %d."
              .formatted(maxModelLen, (long) promptTokens + asked, promptTokens, asked, room));
    }
    return Math.min(asked, newTokensMax);
  }

  private void boundPooled(int vectors) {
    if (vectors > 1 && (long) vectors * width > POOLED_FLOATS_MAX) {
      throw RejectedException.invalid(
          "input",
          "the prompt has %d tokens, of %d numbers each; %d tokens are possible where every token's are wanted. Shorten the prompt."
              .formatted(vectors, width, POOLED_FLOATS_MAX / width));
    }
  }

  private static void boundScores(String field, long tokens, int logprobs) {
    long scores = tokens * (logprobs + 1L);
    if (scores > SCORES_MAX) {
      throw RejectedException.invalid(
          field,
          "%s %d makes %d scores for %d tokens of all choices; %d are possible. Shorten the prompt or the answer, ask for fewer choices, or lower it to %d."
              .formatted(
                  field,
                  logprobs,
                  scores,
                  tokens,
                  SCORES_MAX,
                  Math.max(0, SCORES_MAX / tokens - 1)));
    }
  }

  /**
   * A word is bad at the start of a text and after a space: two spellings, unless they are the
   * same.
   */
  private int[][] badWords(List<String> words) {
    List<int[]> sequences = new ArrayList<>();
    for (String word : words) {
      String text = bounded("bad_words", word).stripLeading();
      int[] bare = tokenizer.encode(text, false);
      int[] spaced = tokenizer.encode(" " + text, false);
      if (bare.length > 0) {
        sequences.add(bare);
      }
      if (spaced.length > 0 && !Arrays.equals(bare, spaced)) {
        sequences.add(spaced);
      }
    }
    return sequences.toArray(int[][]::new);
  }
}
