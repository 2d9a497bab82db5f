package io.verdier.conf;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * Splits a command line into flags and their texts, as vLLM's parser does and as the deployed
 * command lines of Vertex AI need. Owned by the thread that loads.
 *
 * <p>Besides {@code --a-b v}, {@code --a-b=v} and {@code --a_b v} there are: an element that holds
 * flag and value with a blank between them, as Kubernetes manifests list them; {@code --no-x};
 * {@code --x.key v} for one key of a JSON flag; short forms as {@code -tp 2} and {@code -O3}; a
 * model without a flag; and the words that start Python's server, which are skipped.
 */
final class ArgvReader {
  private final List<String> argv;
  private final Findings findings;
  private final Map<String, Given> given = new LinkedHashMap<>();
  private final Map<String, Keys> keyed = new LinkedHashMap<>();
  private int next;
  private boolean modelFound;

  private ArgvReader(List<String> argv, Findings findings) {
    this.argv = argv;
    this.findings = findings;
    this.next = LaunchPrefix.of(argv).length();
  }

  /** What {@code --x.key v} arguments put together. */
  private record Keys(ObjectNode object, Origin origin) {}

  /** The flags of a command line, by canonical name. */
  static Map<String, Given> read(List<String> argv, Findings findings) {
    return new ArgvReader(argv, findings).read();
  }

  private Map<String, Given> read() {
    while (next < argv.size()) {
      int position = next;
      String element = argv.get(next++);
      if (isFlag(element) || element.matches("-[A-Za-z].*")) {
        onFlag(element, new Origin.Argument(position + 1));
      } else if (!element.equals("--")) {
        onModel(element, new Origin.Argument(position + 1));
      }
    }
    keyed.forEach(this::mergeKeys);
    return given;
  }

  private static boolean isFlag(String element) {
    boolean longForm = element.startsWith("--") && element.length() > 2;
    boolean shortForm = element.startsWith("-") && Element.of(element).match().isPresent();
    return longForm || shortForm;
  }

  /**
   * One element of the command line that starts a flag.
   *
   * @param value what followed the name after '=' or a blank inside the element
   * @param blank whether it was a blank
   */
  private record Element(String name, Optional<String> value, boolean blank) {

    static Element of(String element) {
      if (element.matches("-O\\d")) {
        return new Element("-O", Optional.of(element.substring(2)), false);
      }
      int end = 0;
      while (end < element.length() && " \t=".indexOf(element.charAt(end)) < 0) {
        end++;
      }
      String name = element.substring(0, end);
      if (end == element.length()) {
        return new Element(name, Optional.empty(), false);
      }
      boolean blank = element.charAt(end) != '=';
      String value = element.substring(end + 1).strip();
      boolean none = blank && value.isEmpty();
      return new Element(name, none ? Optional.empty() : Optional.of(value), blank);
    }

    Optional<Flags.Match> match() {
      return Flags.find(name);
    }
  }

  private void onFlag(String text, Origin origin) {
    Element element = Element.of(text);
    Optional<Flags.Match> match = element.match();
    if (match.isEmpty()) {
      String name = Shown.text(element.name());
      findings.problem(origin, "unknown flag " + name + Flags.hint(element.name()));
      skipValues(element);
      return;
    }
    Flags.Match found = match.get();
    List<String> texts = values(element, found.flag());
    if (texts.isEmpty()) {
      findings.problem(
          origin, found.flag().name() + ": needs a value, " + found.flag().type().describe());
    } else if (!found.path().isEmpty()) {
      setKey(found, texts.getLast(), origin);
    } else {
      accept(new Given(found.flag(), found.negated() ? negated(texts) : texts, origin));
    }
  }

  /** The values of an unknown flag are not models. */
  private void skipValues(Element element) {
    while (element.value().isEmpty() && next < argv.size() && !isFlag(argv.get(next))) {
      next++;
    }
  }

  private List<String> values(Element element, Flag flag) {
    FlagType.Kind kind = flag.type().kind();
    if (element.value().isPresent()) {
      String value = element.value().get();
      return kind == FlagType.Kind.LIST && element.blank() && !value.matches("[\\[{'\"].*")
          ? List.of(value.split("\\s+"))
          : List.of(unquoted(value));
    }
    if (kind == FlagType.Kind.SWITCH) {
      boolean said = next < argv.size() && argv.get(next).matches("(?i)true|false");
      return List.of(said ? argv.get(next++) : "true");
    }
    List<String> texts = new ArrayList<>();
    int most = kind == FlagType.Kind.LIST ? Integer.MAX_VALUE : 1;
    while (texts.size() < most && next < argv.size() && !isFlag(argv.get(next))) {
      texts.add(unquoted(argv.get(next++)));
    }
    return texts;
  }

  /** Manifests quote as if a shell would read them. */
  private static String unquoted(String value) {
    if (value.length() < 2) {
      return value;
    }
    char first = value.charAt(0);
    boolean quoted = (first == '\'' || first == '"') && value.charAt(value.length() - 1) == first;
    return quoted ? value.substring(1, value.length() - 1) : value;
  }

  private static List<String> negated(List<String> texts) {
    return switch (texts.getLast().toLowerCase(Locale.ROOT)) {
      case "true", "1", "yes", "on" -> List.of("false");
      case "false", "0", "no", "off" -> List.of("true");
      default -> texts;
    };
  }

  private void accept(Given found) {
    Flag flag = found.flag();
    Given before = given.get(flag.name());
    if (before == null) {
      given.put(flag.name(), found);
    } else if (flag.type().kind() == FlagType.Kind.LIST) {
      List<String> texts = new ArrayList<>(before.texts());
      texts.addAll(found.texts());
      given.put(flag.name(), new Given(flag, texts, before.origin()));
    } else {
      if (!before.texts().equals(found.texts())) {
        findings.notice(flag.name() + " is given more than once; the last one counts");
      }
      given.put(flag.name(), found);
    }
  }

  private void onModel(String element, Origin origin) {
    if (modelFound) {
      findings.problem(
          origin, "an argument that is neither a flag nor a flag's value; one model is served");
      return;
    }
    modelFound = true;
    accept(new Given(Flags.named("--model"), List.of(element), origin));
  }

  private void setKey(Flags.Match match, String text, Origin origin) {
    ObjectNode node =
        keyed
            .computeIfAbsent(
                match.flag().name(),
                name -> new Keys(JsonNodeFactory.instance.objectNode(), origin))
            .object();
    for (String key : match.path().subList(0, match.path().size() - 1)) {
      JsonNode inner = node.get(key);
      node = inner instanceof ObjectNode object ? object : node.putObject(key);
    }
    node.set(match.path().getLast(), Json.jsonOrText(text));
  }

  /** Single keys win over the whole object; a broken object is reported when it is read. */
  private void mergeKeys(String name, Keys keys) {
    Given whole = given.get(name);
    Flag flag = Flags.named(name);
    if (whole == null) {
      given.put(name, new Given(flag, List.of(keys.object().toString()), keys.origin()));
    } else if (Json.jsonOrText(whole.texts().getLast()) instanceof ObjectNode object) {
      merge(object, keys.object());
      given.put(name, new Given(flag, List.of(object.toString()), whole.origin()));
    }
  }

  private static void merge(ObjectNode into, ObjectNode from) {
    from.properties()
        .forEach(
            entry -> {
              JsonNode present = into.get(entry.getKey());
              if (present instanceof ObjectNode inner
                  && entry.getValue() instanceof ObjectNode more) {
                merge(inner, more);
              } else {
                into.set(entry.getKey(), entry.getValue());
              }
            });
  }
}
