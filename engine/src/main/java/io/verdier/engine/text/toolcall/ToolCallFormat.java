package io.verdier.engine.text.toolcall;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * How a model writes tool calls: the table of parsers. Immutable.
 *
 * <p>A format names the special tokens that its parser must see: text leaves special tokens out
 * where a client does not ask for them, and the markers of calls often are such tokens.
 */
@SuppressWarnings("ImmutableEnumChecker") // collections are those of List.of, makers keep nothing
public enum ToolCallFormat {
  LLAMA3(
      List.of("llama3_json", "vertex-llama-3", "llama4_json", "xlam"),
      Set.of("<|python_tag|>", "<|python_start|>", "<|python_end|>"),
      (tools, sink) -> new LlamaParser(tools, sink, LlamaParser.Dialect.ALL),
      new CallSpelling("", "{\"name\": \"", "\", \"parameters\": ", "")),
  /** An array of calls and nothing else: what is written where a call is required. */
  LIST(List.of(), Set.of(), regions(List.of(), List.of())),
  /** Arguments and nothing else: what is written where the function is given. */
  ARGUMENTS(List.of(), Set.of(), ArgumentsParser::new),
  PYTHONIC(
      List.of("pythonic", "llama4_pythonic"),
      Set.of("<|python_tag|>", "<|python_start|>", "<|python_end|>"),
      (tools, sink) -> new LlamaParser(tools, sink, LlamaParser.Dialect.PYTHONIC)),
  HERMES(
      List.of("hermes", "qwen25"),
      Set.of("<tool_call>", "</tool_call>"),
      regions(List.of("<tool_call>"), List.of("</tool_call>")),
      new CallSpelling("<tool_call>", "{\"name\": \"", "\", \"arguments\": ", "</tool_call>")),
  MISTRAL(
      List.of("mistral"),
      Set.of(MistralParser.CALLS, MistralParser.ARGUMENTS, MistralParser.CALL_ID),
      MistralParser::new),
  QWEN3_CODER(
      List.of("qwen3_coder", "qwen3_xml"),
      Set.of("<tool_call>", "</tool_call>"),
      QwenXmlParser::new),
  DEEPSEEK_V3(
      List.of("deepseek_v3", "deepseek_v31"),
      Set.of(
          DeepSeekParser.CALLS_BEGIN,
          DeepSeekParser.CALLS_END,
          DeepSeekParser.CALL_BEGIN,
          DeepSeekParser.CALL_END,
          DeepSeekParser.SEPARATOR),
      DeepSeekParser::new),
  GRANITE(
      List.of("granite"),
      Set.of("<|tool_call|>", "<tool_call>", "</tool_call>"),
      regions(List.of("<|tool_call|>", "<tool_call>"), List.of("</tool_call>"))),
  PHI4_MINI(
      List.of("phi4_mini_json"),
      Set.of("<|tool_call|>", "<|/tool_call|>"),
      regions(List.of("functools", "<|tool_call|>"), List.of("<|/tool_call|>"))),
  INTERNLM(
      List.of("internlm"),
      Set.of("<|action_start|>", "<|plugin|>", "<|action_end|>"),
      regions(List.of("<|action_start|><|plugin|>"), List.of("<|action_end|>")),
      new CallSpelling(
          "<|action_start|><|plugin|>", "{\"name\": \"", "\", \"parameters\": ", "<|action_end|>"));

  private final List<String> names;
  private final Set<String> visible;
  private final Maker maker;
  private final Optional<CallSpelling> spelling;

  private interface Maker {
    ToolCallParser make(Tools tools, ToolCallSink sink);
  }

  ToolCallFormat(List<String> names, Set<String> visible, Maker maker) {
    this(names, visible, maker, Optional.empty());
  }

  ToolCallFormat(List<String> names, Set<String> visible, Maker maker, CallSpelling spelling) {
    this(names, visible, maker, Optional.of(spelling));
  }

  ToolCallFormat(
      List<String> names, Set<String> visible, Maker maker, Optional<CallSpelling> spelling) {
    this.names = names;
    this.visible = visible;
    this.maker = maker;
    this.spelling = spelling;
  }

  private static Maker regions(List<String> openers, List<String> closers) {
    return (tools, sink) -> new JsonRegions(tools, sink, openers, closers);
  }

  /**
   * The names that operators know it by, the usual one first; none where requests alone choose it.
   */
  public List<String> names() {
    return names;
  }

  /** Special tokens, as the vocabulary spells them, that must stay in the text. */
  public Set<String> visibleTokens() {
    return visible;
  }

  /**
   * Whether calls are named by nine letters and digits: Mistral's templates refuse anything else.
   */
  public boolean hasShortIds() {
    return this == MISTRAL;
  }

  /**
   * How calls are spelled; empty where they are not objects with a name and arguments, or where
   * models have several ways to begin one, so that nothing holds all calls to a schema while the
   * rest of the text is free.
   */
  public Optional<CallSpelling> spelling() {
    return spelling;
  }

  /** A parser for one text. */
  public ToolCallParser parser(Tools tools, ToolCallSink sink) {
    return maker.make(tools, sink);
  }

  /** The format of that name. */
  public static Optional<ToolCallFormat> of(String name) {
    return Arrays.stream(values()).filter(format -> format.names.contains(name)).findFirst();
  }
}
