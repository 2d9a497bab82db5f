package io.verdier.verticles.http.routes;

import io.verdier.conf.ServerConfig.Policy;
import io.verdier.engine.RejectedException;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.bus.Truncation;
import io.verdier.verticles.http.Ingress;
import io.verdier.verticles.http.api.Body;
import java.util.ArrayList;
import java.util.List;

/** Reads what a request says of its prompts, whatever is made of them. Immutable. */
record PromptFields(Ingress ingress, Fields fields) {
  private static final String SIDE = "truncation_side";
  private static final int CACHE_SALT_CHARS_MAX = 256;

  /** A text, a list of texts, a list of token ids, or a list of such lists. */
  List<Prompt> prompts(String name) {
    Object given = fields.value(name);
    boolean addSpecialTokens = textBeginsSpecially(fields);
    if (given instanceof String text) {
      return List.of(new Prompt.Text(text, addSpecialTokens));
    }
    if (!(given instanceof List<?> list) || list.isEmpty()) {
      throw fields.wrong(name, "a text, a list of texts, token ids or lists of token ids");
    }
    int vocabulary = ingress.serving().card().vocabularySize();
    if (list.getFirst() instanceof Number) {
      return List.of(new Prompt.Tokens(TokenIds.read(list, fields.path(name), vocabulary)));
    }
    checkCount(name, list.size());
    List<Prompt> prompts = new ArrayList<>(list.size());
    for (Object element : list) {
      String path = fields.path(name) + "." + prompts.size();
      prompts.add(
          switch (element) {
            case String text -> new Prompt.Text(text, addSpecialTokens);
            case List<?> ids -> new Prompt.Tokens(TokenIds.read(ids, path, vocabulary));
            case null, default -> throw Fields.wrongAt(path, element, "a text or token ids");
          });
    }
    return prompts;
  }

  /** Whether a text, which no template has written, gets the tokens that the tokenizer adds. */
  static boolean textBeginsSpecially(Fields fields) {
    return fields.as(Body.TEXT).bool("add_special_tokens");
  }

  /** Refuses more prompts than a request may have. */
  void checkCount(String name, int count) {
    int max = ingress.limits().promptsMax();
    if (count > max) {
      throw RejectedException.invalid(
          fields.path(name), "The request has " + count + " prompts; the limit is " + max + ".");
    }
  }

  /** What is kept of a prompt that is too long. */
  Truncation truncation() {
    int kept = keptTokens();
    boolean cutsLeft = !fields.knows(SIDE) || fields.word(SIDE).equals("left");
    return new Truncation(kept, cutsLeft ? Truncation.End.LAST : Truncation.End.FIRST);
  }

  private int keptTokens() {
    int modelLen = ingress.serving().card().maxModelLen();
    int kept = fields.integer("truncate_prompt_tokens", modelLen, 0);
    if (kept == 0) {
      if (fields.has("truncate_prompt_tokens")) {
        throw fields.wrong("truncate_prompt_tokens", "-1 or at least 1");
      }
      return -1;
    }
    return kept == -1 ? modelLen : kept;
  }

  int priority() {
    int priority = fields.integer("priority");
    if (priority != 0 && ingress.config().scheduling().policy() != Policy.PRIORITY) {
      throw fields.unsupported(
          "priority", "the server was not started with --scheduling-policy priority.");
    }
    return priority;
  }

  String cacheSalt() {
    String salt = fields.string("cache_salt");
    if (salt == null) {
      return "";
    }
    if (salt.isEmpty()
        || salt.length() > CACHE_SALT_CHARS_MAX
        || !salt.chars().allMatch(c -> c > 0x20 && c < 0x7f)) {
      throw fields.wrong(
          "cache_salt", "1 to " + CACHE_SALT_CHARS_MAX + " printable ASCII characters");
    }
    return salt;
  }
}
