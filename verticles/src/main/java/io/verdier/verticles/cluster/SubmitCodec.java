package io.verdier.verticles.cluster;

import io.verdier.cache.lora.AdapterSource;
import io.verdier.engine.grammar.Constraint;
import io.verdier.engine.grammar.Constraint.JsonStyle;
import io.verdier.engine.text.TextParams;
import io.verdier.engine.text.reasoning.ReasoningFormat;
import io.verdier.verticles.bus.Demand;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.bus.Submit;
import io.verdier.verticles.bus.Truncation;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import org.jspecify.annotations.Nullable;

/** {@link Submit} on the wire. Stateless. */
final class SubmitCodec {
  private static final int CHAT = 0;
  private static final int TEXT = 1;
  private static final int TOKENS = 2;
  private static final int PAIR = 3;

  private SubmitCodec() {}

  static void write(WireWriter out, Submit submit) {
    out.longs(submit.keys());
    writePrompt(out, submit.prompt());
    SamplingCodec.write(out, submit.sampling());
    Truncation truncation = submit.truncation();
    out.texts(submit.badWords()).number(truncation.tokensMax()).text(truncation.end().name());
    TextParams text = submit.text();
    out.texts(text.stopStrings()).flag(text.includeStop()).flag(text.skipSpecialTokens());
    out.texts(List.copyOf(text.visibleTokens())).flag(text.streaming());
    out.optionalText(text.thoughts().map(Enum::name).orElse(null));
    out.number(text.thoughtTokensMax()).text(text.thoughtsEnd());
    out.number(submit.priority()).text(submit.cacheSalt());
    AdapterSource adapter = submit.adapter();
    out.flag(adapter != null);
    if (adapter != null) {
      writeAdapter(out, adapter);
    }
    Demand demand = submit.demand();
    out.flag(demand != null);
    if (demand != null) {
      writeConstraint(out, demand.constraint());
      out.text(demand.parameter()).flag(demand.isTriggered());
      out.optionalText(demand.thoughts().map(Enum::name).orElse(null));
    }
    out.flag(submit.lengthPenalty().isPresent());
    submit.lengthPenalty().ifPresent(out::real);
    out.ints(submit.generated()).text(submit.model());
  }

  static Submit read(WireReader in) {
    return new Submit(
        in.longs(),
        readPrompt(in),
        SamplingCodec.read(in),
        in.texts(),
        new Truncation(in.whole(), in.constant(Truncation.End.class)),
        readText(in),
        in.whole(),
        in.text(),
        in.flag() ? readAdapter(in) : null,
        in.flag() ? readDemand(in) : null,
        in.flag() ? OptionalDouble.of(in.realDouble()) : OptionalDouble.empty(),
        in.ints(),
        in.text());
  }

  private static TextParams readText(WireReader in) {
    return new TextParams(
        in.texts(),
        in.flag(),
        in.flag(),
        new HashSet<>(in.texts()),
        in.flag(),
        readThoughts(in),
        in.whole(),
        in.text());
  }

  private static Optional<ReasoningFormat> readThoughts(WireReader in) {
    return in.flag() ? Optional.of(in.constant(ReasoningFormat.class)) : Optional.empty();
  }

  static void writeAdapter(WireWriter out, AdapterSource adapter) {
    out.text(adapter.place()).text(adapter.namer().name()).text(adapter.identity());
  }

  static AdapterSource readAdapter(WireReader in) {
    return new AdapterSource(in.text(), in.constant(AdapterSource.Namer.class), in.text());
  }

  static void writePrompt(WireWriter out, Prompt prompt) {
    switch (prompt) {
      case Prompt.Chat chat -> {
        out.octet(CHAT).list(chat.messages(), WireWriter::json).json(chat.tools());
        out.json(chat.templateArguments()).flag(chat.addGenerationPrompt());
        out.flag(chat.continueFinalMessage()).flag(chat.addSpecialTokens());
        out.optionalText(chat.template());
      }
      case Prompt.Text text -> out.octet(TEXT).text(text.text()).flag(text.addSpecialTokens());
      case Prompt.Tokens tokens -> out.octet(TOKENS).ints(tokens.ids());
      case Prompt.Pair pair -> out.octet(PAIR).text(pair.first()).text(pair.second());
    }
  }

  static Prompt readPrompt(WireReader in) {
    return switch (in.octet()) {
      case CHAT ->
          new Prompt.Chat(
              in.list(SubmitCodec::object),
              list(in.json()),
              object(in),
              in.flag(),
              in.flag(),
              in.flag(),
              in.optionalText());
      case TEXT -> new Prompt.Text(in.text(), in.flag());
      case TOKENS -> new Prompt.Tokens(in.ints());
      case PAIR -> new Prompt.Pair(in.text(), in.text());
      default -> throw new WireException("no such prompt");
    };
  }

  private static Map<String, @Nullable Object> object(WireReader in) {
    if (in.octet() != WireWriter.MAP) {
      throw new WireException("no JSON object");
    }
    return in.jsonMap();
  }

  private static @Nullable List<Object> list(@Nullable Object value) {
    return switch (value) {
      case null -> null;
      case List<?> list -> new ArrayList<>(list);
      default -> throw new WireException("no JSON list");
    };
  }

  private static void writeConstraint(WireWriter out, Constraint constraint) {
    switch (constraint) {
      case Constraint.JsonObject object -> writeStyle(out.octet(0), object.style());
      case Constraint.JsonSchema json -> writeStyle(out.octet(1).text(json.schema()), json.style());
      case Constraint.Regex regex -> out.octet(2).text(regex.pattern());
      case Constraint.Choice choice -> out.octet(3).texts(choice.options());
      case Constraint.Rules rules -> out.octet(4).text(rules.text());
      case Constraint.StructuralTag tag -> {
        writeStyle(out.octet(5).text(tag.tag()), tag.style());
        out.texts(tag.specials());
      }
    }
  }

  private static void writeStyle(WireWriter out, JsonStyle style) {
    out.flag(style.isCompact()).optionalText(style.whitespace()).flag(style.isClosed());
  }

  private static Demand readDemand(WireReader in) {
    Constraint constraint =
        switch (in.octet()) {
          case 0 -> new Constraint.JsonObject(readStyle(in));
          case 1 -> new Constraint.JsonSchema(in.text(), readStyle(in));
          case 2 -> new Constraint.Regex(in.text());
          case 3 -> new Constraint.Choice(in.texts());
          case 4 -> new Constraint.Rules(in.text());
          case 5 -> new Constraint.StructuralTag(in.text(), readStyle(in), in.texts());
          default -> throw new WireException("no such constraint");
        };
    return new Demand(constraint, in.text(), in.flag(), readThoughts(in));
  }

  private static JsonStyle readStyle(WireReader in) {
    return new JsonStyle(in.flag(), in.optionalText(), in.flag());
  }
}
