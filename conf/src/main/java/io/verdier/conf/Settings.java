package io.verdier.conf;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * One value per flag, from the source that wins. Immutable.
 *
 * <p>Only the winner's text is read: a broken value that somebody else overrides harms nobody.
 */
final class Settings {

  /** A value that was read, with its text. */
  private record Setting(Object value, Given given) {}

  private final Map<String, Setting> settings;

  private Settings(Map<String, Setting> settings) {
    this.settings = settings;
  }

  /** Takes every flag from the first source that has it, else its default. */
  static Settings resolve(List<Map<String, Given>> sources, Findings findings) {
    Map<String, Setting> settings = new HashMap<>();
    for (Flag flag : Flags.all()) {
      sources.stream()
          .flatMap(source -> Optional.ofNullable(source.get(flag.name())).stream())
          .findFirst()
          .flatMap(given -> read(given, findings))
          .or(() -> flag.effect().exists() ? defaultOf(flag, findings) : Optional.empty())
          .ifPresent(setting -> settings.put(flag.name(), setting));
    }
    return new Settings(settings);
  }

  private static Optional<Setting> read(Given given, Findings findings) {
    try {
      return Optional.of(new Setting(given.flag().type().parse(given.texts()), given));
    } catch (BadValueException e) {
      findings.problem(given.origin(), given.flag().name() + ": " + e.getMessage());
      return Optional.empty();
    }
  }

  private static Optional<Setting> defaultOf(Flag flag, Findings findings) {
    return flag.defaultText()
        .flatMap(text -> read(new Given(flag, List.of(text), new Origin.Default()), findings));
  }

  /** Tells in one line each which flags the operator gave in vain. */
  void noticeWithoutEffect(Findings findings) {
    for (Flag flag : Flags.all()) {
      if (flag.effect().exists() || !given(flag.name()) || isDefault(flag)) {
        continue;
      }
      Origin origin = origin(flag.name());
      String from = origin instanceof Origin.Argument ? "" : " (" + origin.text() + ")";
      Effect effect = flag.effect();
      findings.notice(flag.name() + " " + effect.kind().phrase() + ": " + effect.reason() + from);
    }
  }

  private boolean isDefault(Flag flag) {
    Object value = setting(flag.name()).value();
    return defaultOf(flag, new Findings()).map(it -> it.value().equals(value)).orElse(false);
  }

  /** Value and origin of every flag that has an effect and a value. */
  Map<String, LoadResult.Effective> effective() {
    Map<String, LoadResult.Effective> effective = new LinkedHashMap<>();
    for (Flag flag : Flags.all()) {
      Setting setting = settings.get(flag.name());
      if (flag.effect().exists() && setting != null) {
        Given given = setting.given();
        effective.put(flag.name(), new LoadResult.Effective(given.shown(), given.origin()));
      }
    }
    return effective;
  }

  /** Whether the operator gave a value. */
  boolean given(String flag) {
    return !(origin(flag) instanceof Origin.Default);
  }

  Origin origin(String flag) {
    Setting setting = settings.get(flag);
    return setting == null ? new Origin.Default() : setting.given().origin();
  }

  /** A number with a fraction. */
  double real(String flag) {
    return (Double) setting(flag).value();
  }

  boolean on(String flag) {
    return (Boolean) setting(flag).value();
  }

  int whole(String flag) {
    return Math.toIntExact(number(flag));
  }

  long number(String flag) {
    return (Long) setting(flag).value();
  }

  Duration duration(String flag) {
    return (Duration) setting(flag).value();
  }

  String text(String flag) {
    return (String) setting(flag).value();
  }

  Optional<String> optionalText(String flag) {
    return optional(flag, String.class);
  }

  /** Empty where the flag was not given or says "choose yourself". */
  Optional<Long> optionalNumber(String flag) {
    return optional(flag, Long.class);
  }

  Optional<JsonNode> json(String flag) {
    return optional(flag, JsonNode.class);
  }

  List<String> list(String flag) {
    Setting setting = settings.get(flag);
    if (setting == null) {
      return List.of();
    }
    return ((List<?>) setting.value()).stream().map(String.class::cast).toList();
  }

  private <T> Optional<T> optional(String flag, Class<T> type) {
    Flags.named(flag);
    return Optional.ofNullable(settings.get(flag))
        .filter(setting -> !setting.value().equals(FlagType.UNSET))
        .map(setting -> type.cast(setting.value()));
  }

  private Setting setting(String flag) {
    Setting setting = settings.get(flag);
    if (setting == null) {
      throw new IllegalStateException(flag + " has neither value nor default");
    }
    return setting;
  }
}
