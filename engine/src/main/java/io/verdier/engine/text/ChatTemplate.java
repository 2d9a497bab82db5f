package io.verdier.engine.text;

import io.verdier.conf.ChatConfig.ContentFormat;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.engine.text.template.ContentUse;
import io.verdier.engine.text.template.RenderLimits;
import io.verdier.engine.text.template.Template;
import io.verdier.engine.text.template.TemplateException;
import java.nio.file.Path;
import java.time.Clock;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * From a conversation to the prompt text of one model. Immutable; any number of threads may render.
 *
 * <p>Follows Hugging Face's {@code apply_chat_template}: a model may have several named templates,
 * of which {@code tool_use} serves requests with tools; the special tokens are variables; {@code
 * continue_final_message} ends the text behind the last message's content. As in vLLM, messages are
 * first brought into the form that the template expects. The text starts with the special tokens
 * that the template prints, so it is tokenized without adding any.
 */
public final class ChatTemplate {
  static final String TOOL_USE = "tool_use";

  private static final Logger LOG = LoggerFactory.getLogger(ChatTemplate.class);

  /** What is no variable of a request's own: {@link Conversation} has the rest of these names. */
  private static final Set<String> RESERVED =
      Set.of(
          "messages",
          "tools",
          "documents",
          "add_generation_prompt",
          "continue_final_message",
          "chat_template",
          "tokenize");

  /**
   * Stands behind the final message's content while it is rendered, to show where to cut. The blank
   * at its end tells whether the template trims.
   */
  private static final String CUT = "[[verdier:continue-here]] ";

  private final Map<String, Variant> variants;
  private final Map<String, Object> specialTokens;
  private final Optional<ContentFormat> told;

  /**
   * One conversation to render.
   *
   * @param messages as the client sent them
   * @param tools declared functions; empty: the template sees none
   * @param documents for retrieval; empty: the template sees none
   * @param extra further variables ({@code chat_template_kwargs})
   * @param ending what the text ends with
   */
  public record Conversation(
      List<Map<String, Object>> messages,
      List<Map<String, Object>> tools,
      List<Map<String, Object>> documents,
      Map<String, Object> extra,
      Ending ending) {}

  /** What the prompt ends with. */
  public enum Ending {
    /** The last message, closed. */
    MESSAGE,
    /** The opening of the assistant's next message. */
    GENERATION_PROMPT,
    /** The last message, left open for the model to go on with it. */
    OPEN_MESSAGE
  }

  /** A template, parsed; or why it does not parse. */
  private record Variant(@Nullable Template template, ContentUse use, String problem) {
    static Variant of(String source) {
      try {
        Template template = Template.parse(source);
        return new Variant(template, template.contentUse(), "");
      } catch (TemplateException e) {
        return new Variant(null, new ContentUse(false, false, false), e.getMessage());
      }
    }
  }

  private ChatTemplate(
      Map<String, Variant> variants,
      Map<String, Object> specialTokens,
      Optional<ContentFormat> told) {
    this.variants = variants;
    this.specialTokens = specialTokens;
    this.told = told;
  }

  /**
   * Reads a model's template from its directory.
   *
   * <p>A directory without one is fine, and so is one whose template does not parse: the model can
   * still complete plain prompts. Rendering then says what is missing or wrong.
   *
   * @param override the operator's {@code --chat-template}: a template, the path of a file with
   *     one, or the name of one of the model's own. A tool template of vLLM's image, which is not
   *     here, gives way to the model's own if that knows tools, with a warning.
   * @throws RejectedException if the override cannot be used, or a file of the model is broken
   */
  public static ChatTemplate load(Path directory, Optional<String> override) {
    ChatTemplateFiles files = ChatTemplateFiles.read(directory);
    if (override.isEmpty() || isGivenWay(override.get(), files)) {
      Map<String, Variant> variants = new LinkedHashMap<>();
      files.templates().forEach((name, source) -> variants.put(name, Variant.of(source)));
      return new ChatTemplate(variants, files.specialTokens(), Optional.empty());
    }
    String own = files.templates().get(override.get());
    String source = own == null ? ChatTemplateFiles.textOrFile(override.get()) : own;
    ChatTemplate template = of(source, files.specialTokens());
    template
        .problem()
        .ifPresent(
            problem -> {
              throw new RejectedException(
                  ErrorCode.INVALID_ARGUMENT, "--chat-template does not parse: " + problem);
            });
    return template;
  }

  private static boolean isGivenWay(String override, ChatTemplateFiles files) {
    boolean givesWay = files.knowsTools() && ChatTemplateFiles.isOfAnotherImage(override);
    if (givesWay) {
      LOG.warn(
          "--chat-template {} is a file of vLLM's image and not here; the model's own template,"
              + " which knows tools, is used.",
          override);
    }
    return givesWay;
  }

  /**
   * A template from its text.
   *
   * @param specialTokens variables such as {@code bos_token}
   */
  public static ChatTemplate of(String source, Map<String, Object> specialTokens) {
    return new ChatTemplate(
        Map.of(ChatTemplateFiles.DEFAULT, Variant.of(source)),
        Map.copyOf(specialTokens),
        Optional.empty());
  }

  /** The same model with a template that came with a request. */
  public ChatTemplate withTemplate(String source) {
    return of(source, specialTokens).formatted(told);
  }

  /**
   * The same, where it is not left to be seen how its templates take what is said.
   *
   * @param format empty: as each of them is seen to take it
   */
  public ChatTemplate formatted(Optional<ContentFormat> format) {
    return new ChatTemplate(variants, specialTokens, format);
  }

  /** Whether the model has a template at all. */
  public boolean exists() {
    return !variants.isEmpty();
  }

  /** Why the template cannot be used, for the operator's log; empty if it can, or is absent. */
  public Optional<String> problem() {
    return variants.values().stream()
        .map(Variant::problem)
        .filter(problem -> !problem.isEmpty())
        .findFirst();
  }

  /** How the template that serves requests without tools is given what is said. */
  public ContentFormat contentFormat() {
    Variant variant = variants.get(ChatTemplateFiles.DEFAULT);
    boolean walks = variant != null && variant.use().walksParts();
    return told.orElse(walks ? ContentFormat.OPENAI : ContentFormat.STRING);
  }

  /**
   * @param clock what {@code strftime_now} reads
   * @throws RejectedException if there is no usable template, the template fails on or refuses the
   *     conversation, or a limit is passed
   */
  public String render(Conversation conversation, RenderLimits limits, Clock clock) {
    Variant variant = variant(!conversation.tools().isEmpty());
    Template template = variant.template();
    if (template == null) {
      throw new RejectedException(
          ErrorCode.UNSUPPORTED,
          "the chat template does not parse: "
              + variant.problem()
              + ". Start the server with another one: --chat-template.");
    }
    List<Map<String, Object>> messages =
        new ChatMessages(variant.use(), told).prepared(conversation.messages());
    boolean open = conversation.ending() == Ending.OPEN_MESSAGE;
    if (open) {
      markEnd(messages);
    }
    String text;
    try {
      text = template.render(variables(conversation, messages), limits, clock);
    } catch (TemplateException e) {
      throw RejectedException.invalid("messages", explained(e));
    }
    return open ? cut(text) : text;
  }

  private static String explained(TemplateException e) {
    return switch (e.kind()) {
      case RAISED -> e.text();
      case SYNTAX, RUNTIME -> "the chat template failed on these messages: " + e.getMessage();
    };
  }

  private Variant variant(boolean tools) {
    Variant variant = tools ? variants.get(TOOL_USE) : null;
    if (variant == null) {
      variant = variants.get(ChatTemplateFiles.DEFAULT);
    }
    if (variant == null) {
      throw new RejectedException(
          ErrorCode.UNSUPPORTED,
          variants.isEmpty()
              ? "this model has no chat template. Start the server with --chat-template, or send a"
                  + " plain prompt to /v1/completions."
              : "this model has several chat templates and none is the default: "
                  + String.join(", ", variants.keySet())
                  + ". Start the server with --chat-template and the name of one.");
    }
    return variant;
  }

  private Map<String, Object> variables(
      Conversation conversation, List<Map<String, Object>> messages) {
    Map<String, Object> variables = new HashMap<>(specialTokens);
    conversation
        .extra()
        .forEach(
            (name, value) -> {
              if (RESERVED.contains(name)) {
                throw RejectedException.invalid(
                    "chat_template_kwargs",
                    "chat_template_kwargs may not set '"
                        + name
                        + "': the request has a field for it, or it is not for requests to set.");
              }
              variables.put(name, value);
            });
    variables.put("messages", messages);
    putOrNone(variables, "tools", conversation.tools());
    putOrNone(variables, "documents", conversation.documents());
    variables.put("add_generation_prompt", conversation.ending() == Ending.GENERATION_PROMPT);
    return variables;
  }

  @SuppressWarnings("NullAway") // a variable that is there and None, as Hugging Face passes it
  private static void putOrNone(Map<String, Object> variables, String name, List<?> value) {
    variables.put(name, value.isEmpty() ? null : value);
  }

  /** Puts the mark behind the text of the last message. */
  private static void markEnd(List<Map<String, Object>> messages) {
    Map<String, Object> last = messages.isEmpty() ? Map.of() : messages.get(messages.size() - 1);
    if (last.get("content") instanceof String text) {
      last.put("content", text + CUT);
      return;
    }
    if (last.get("content") instanceof List<?> parts) {
      List<Object> marked = new ArrayList<>(parts);
      for (int i = marked.size() - 1; i >= 0; i--) {
        if (marked.get(i) instanceof Map<?, ?> part && part.get("text") instanceof String text) {
          Map<Object, Object> markedPart = new LinkedHashMap<>(part);
          markedPart.put("text", text + CUT);
          marked.set(i, markedPart);
          last.put("content", marked);
          return;
        }
      }
    }
    throw RejectedException.invalid(
        "continue_final_message",
        "continue_final_message needs a last message with text to continue.");
  }

  /** The text up to the mark; blanks before it go where the template trims its messages. */
  private static String cut(String text) {
    int at = text.lastIndexOf(CUT.strip());
    if (at < 0) {
      throw RejectedException.invalid(
          "continue_final_message",
          "continue_final_message cannot be used: the chat template does not print the last"
              + " message's content as it is.");
    }
    String kept = text.substring(0, at);
    return text.startsWith(CUT, at) ? kept : kept.stripTrailing();
  }
}
