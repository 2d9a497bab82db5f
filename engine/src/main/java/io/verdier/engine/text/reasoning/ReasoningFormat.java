package io.verdier.engine.text.reasoning;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** How a model marks its reasoning: the table of parsers. Immutable. */
@SuppressWarnings("ImmutableEnumChecker") // the lists are those of List.of
public enum ReasoningFormat {
  /** Always thinks first; its template, or the model, writes the opening. */
  DEEPSEEK_R1("deepseek_r1", Start.REASONING, List.of("<think>"), List.of("</think>")),
  /** Thinks where it opens, or its template opened for it and did not close at once. */
  QWEN3("qwen3", Start.UNDECIDED, List.of("<think>"), List.of("</think>")),
  MISTRAL("mistral", Start.UNDECIDED, List.of("[THINK]"), List.of("[/THINK]")),
  GRANITE(
      "granite",
      Start.UNDECIDED,
      List.of("Here's my thought process:", "Here is my thought process:"),
      List.of("Here's my response:", "Here is my response:"));

  /** What the first character of an answer is. */
  public enum Start {
    REASONING,
    CONTENT,
    /** Reasoning if the opening comes first of all, else content. */
    UNDECIDED
  }

  private final String label;
  private final Start start;
  private final List<String> openings;
  private final List<String> endings;

  ReasoningFormat(String label, Start start, List<String> openings, List<String> endings) {
    this.label = label;
    this.start = start;
    this.openings = openings;
    this.endings = endings;
  }

  /** The name that operators know it by. */
  public String label() {
    return label;
  }

  /** The texts that open reasoning. */
  public List<String> openings() {
    return openings;
  }

  /**
   * The texts that end reasoning; any of them does. Where a vocabulary has one as a token, that
   * token ends it: what must hold of an answer holds from there on.
   */
  public List<String> endings() {
    return endings;
  }

  /** Special tokens, as the vocabulary spells them, that must stay in the text. */
  public Set<String> visibleTokens() {
    return Stream.concat(openings.stream(), endings.stream()).collect(Collectors.toSet());
  }

  /**
   * How an answer begins after a prompt. A template may have opened the reasoning, or opened and
   * closed it to have none.
   *
   * @param promptTail the end of the prompt, special tokens included
   */
  public Start startAfter(String promptTail) {
    String tail = promptTail.stripTrailing();
    if (endings.stream().anyMatch(tail::endsWith)) {
      return Start.CONTENT;
    }
    return openings.stream().anyMatch(tail::endsWith) ? Start.REASONING : start;
  }

  /**
   * A parser for one text.
   *
   * @param promptTail the end of the prompt, special tokens included; a few tokens suffice
   */
  public ReasoningParser parser(String promptTail, ReasoningParser.Sink sink) {
    return new ReasoningParser(this, startAfter(promptTail), sink);
  }

  /** The format of that name. */
  public static Optional<ReasoningFormat> of(String name) {
    return Arrays.stream(values()).filter(format -> format.label.equals(name)).findFirst();
  }
}
