package io.verdier.engine.text;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * What a model's files say about its chat template. Immutable.
 *
 * @param templates source by name; an only template is called {@code default}
 * @param specialTokens variables such as {@code bos_token}, with the texts of the tokens
 */
record ChatTemplateFiles(Map<String, String> templates, Map<String, Object> specialTokens) {
  static final String DEFAULT = "default";

  private static final Pattern TOOL_TEMPLATE =
      Pattern.compile("tool_chat_template_[A-Za-z0-9_.-]+\\.jinja");

  private static final ObjectMapper JSON = new ObjectMapper();

  /**
   * Reads a model directory. A template file of its own wins over the one in {@code
   * tokenizer_config.json}, as in Hugging Face's loaders.
   */
  static ChatTemplateFiles read(Path directory) {
    Map<String, Object> config = json(directory.resolve("tokenizer_config.json"));
    Map<String, String> templates = new LinkedHashMap<>();
    addTemplates(config.get("chat_template"), templates);
    addTemplates(json(directory.resolve("chat_template.json")).get("chat_template"), templates);
    Path file = directory.resolve("chat_template.jinja");
    if (Files.isRegularFile(file)) {
      templates.put(DEFAULT, text(file));
    }
    addNamedFiles(directory.resolve("additional_chat_templates"), templates);
    Map<String, Object> tokens = new TreeMap<>();
    addTokens(json(directory.resolve("special_tokens_map.json")), tokens);
    addTokens(config.get("extra_special_tokens"), tokens);
    addTokens(config, tokens);
    return new ChatTemplateFiles(templates, tokens);
  }

  /**
   * The template that an operator gave: the text itself, or the path of a file that holds it. A
   * text has braces or several lines, a path has neither.
   */
  static String textOrFile(String value) {
    if (value.indexOf('{') >= 0 || value.indexOf('\n') >= 0) {
      return value;
    }
    Optional<Path> path = path(value);
    if (path.isPresent() && Files.isRegularFile(path.get())) {
      return text(path.get());
    }
    throw new RejectedException(
        ErrorCode.INVALID_ARGUMENT,
        "--chat-template is '"
            + value
            + "': neither a readable file nor a template (which would have braces)");
  }

  /**
   * Whether this is the path of a template that vLLM's image holds and this machine does not, such
   * as {@code /vllm-workspace/examples/tool_chat_template_llama3.1_json.jinja}: command lines that
   * were written for it name them to have tools, which today's models' own templates know.
   */
  static boolean isOfAnotherImage(String value) {
    Optional<Path> path = path(value);
    return path.isPresent()
        && !Files.exists(path.get())
        && TOOL_TEMPLATE.matcher(String.valueOf(path.get().getFileName())).matches();
  }

  private static Optional<Path> path(String value) {
    try {
      return Optional.of(Path.of(value));
    } catch (InvalidPathException e) {
      return Optional.empty(); // a template, or nothing
    }
  }

  /** Whether requests with tools are served by a template that mentions them. */
  boolean knowsTools() {
    String source = templates.getOrDefault(ChatTemplate.TOOL_USE, templates.get(DEFAULT));
    return source != null && source.contains("tools");
  }

  /** A template, or a list of {@code {"name": .., "template": ..}}. */
  private static void addTemplates(@Nullable Object value, Map<String, String> templates) {
    if (value instanceof String text) {
      templates.put(DEFAULT, text);
    } else if (value instanceof List<?> list) {
      for (Object item : list) {
        if (item instanceof Map<?, ?> entry
            && entry.get("name") instanceof String name
            && entry.get("template") instanceof String text) {
          templates.put(name, text);
        }
      }
    } else if (value instanceof Map<?, ?> map) {
      map.forEach(
          (name, text) -> {
            if (text instanceof String template) {
              templates.put(String.valueOf(name), template);
            }
          });
    }
  }

  private static void addNamedFiles(Path directory, Map<String, String> templates) {
    if (!Files.isDirectory(directory)) {
      return;
    }
    List<Path> files = new ArrayList<>();
    try (DirectoryStream<Path> stream = Files.newDirectoryStream(directory, "*.jinja")) {
      stream.forEach(files::add);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    for (Path file : files) {
      String name = String.valueOf(file.getFileName());
      templates.put(name.substring(0, name.length() - ".jinja".length()), text(file));
    }
  }

  /** Tokens are strings, or objects with their text as {@code content}. */
  private static void addTokens(@Nullable Object source, Map<String, Object> tokens) {
    if (!(source instanceof Map<?, ?> map)) {
      return;
    }
    map.forEach(
        (key, value) -> {
          String name = String.valueOf(key);
          String text = tokenText(value);
          if (name.endsWith("_token") && text != null) {
            tokens.put(name, text);
          } else if (name.equals("additional_special_tokens") && value instanceof List<?> list) {
            List<Object> texts = new ArrayList<>();
            list.forEach(item -> texts.add(String.valueOf(tokenText(item))));
            tokens.put(name, texts);
          }
        });
  }

  /** A token is its text, or an object that holds it. */
  static @Nullable String tokenText(@Nullable Object value) {
    Object text = value instanceof Map<?, ?> token ? token.get("content") : value;
    return text instanceof String string ? string : null;
  }

  /** A file as a JSON object; empty if there is no such file. */
  static Map<String, Object> json(Path file) {
    if (!Files.isRegularFile(file)) {
      return Map.of();
    }
    try {
      return JSON.readValue(text(file), new TypeReference<Map<String, Object>>() {});
    } catch (JsonProcessingException e) {
      throw new RejectedException(
          ErrorCode.INVALID_ARGUMENT,
          "the model's " + file.getFileName() + " is not a JSON object: " + e.getOriginalMessage());
    }
  }

  private static String text(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
