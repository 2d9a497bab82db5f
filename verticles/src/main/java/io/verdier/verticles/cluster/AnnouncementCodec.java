package io.verdier.verticles.cluster;

import io.verdier.conf.ClusterConfig.Role;
import io.verdier.conf.ServerConfig.Parsing;
import io.verdier.engine.model.Classifier;
import io.verdier.engine.model.EmbeddingSpec;
import io.verdier.engine.sample.Pooling;
import io.verdier.verticles.bus.AdapterCard;
import io.verdier.verticles.bus.CacheRoom;
import io.verdier.verticles.bus.ModelCard;
import io.verdier.verticles.cluster.Announcement.Load;
import io.verdier.verticles.cluster.Announcement.Phase;
import io.verdier.verticles.cluster.Announcement.Tally;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** {@link Announcement} on the wire. Stateless. */
final class AnnouncementCodec {
  private AnnouncementCodec() {}

  static void write(WireWriter out, Announcement told) {
    out.text(told.name()).text(told.busAddress()).text(told.httpAddress()).text(told.version());
    out.list(List.copyOf(told.roles()), (wire, role) -> wire.text(role.name()));
    out.text(told.phase().name());
    out.flag(told.card().isPresent());
    told.card().ifPresent(card -> writeCard(out, card));
    writeLoad(out, told.load());
    writeTally(out, told.tally());
    out.longs(told.prefixes().words());
    CacheRoom room = told.room();
    out.number(room.port()).number(room.blocks()).number(room.bytesUsed()).number(room.bytesMax());
  }

  static Announcement read(WireReader in) {
    return new Announcement(
        in.text(),
        in.text(),
        in.text(),
        in.text(),
        new HashSet<>(in.list(wire -> wire.constant(Role.class))),
        in.constant(Phase.class),
        in.flag() ? Optional.of(readCard(in)) : Optional.empty(),
        readLoad(in),
        readTally(in),
        new PrefixSummary(in.longs()),
        new CacheRoom(in.whole(), in.whole(), in.number(), in.number()));
  }

  private static void writeLoad(WireWriter out, Load load) {
    out.number(load.streams()).number(load.live()).number(load.running()).number(load.waiting());
    out.number(load.blocksUsed()).number(load.blocksTotal()).number(load.stepMillis());
  }

  private static Load readLoad(WireReader in) {
    return new Load(
        in.whole(), in.whole(), in.whole(), in.whole(), in.whole(), in.whole(), in.number());
  }

  private static void writeTally(WireWriter out, Tally tally) {
    out.number(tally.steps()).number(tally.prefixes());
    out.number(tally.queriedTokens()).number(tally.hitTokens());
    out.number(tally.movedIn()).number(tally.movedOut());
  }

  private static Tally readTally(WireReader in) {
    return new Tally(in.number(), in.whole(), in.number(), in.number(), in.number(), in.number());
  }

  private static void writeCard(WireWriter out, ModelCard card) {
    out.texts(card.names()).texts(card.aliases()).text(card.root());
    out.number(card.vocabularySize()).number(card.maxModelLen()).number(card.createdSeconds());
    out.number(card.generationDefaults().size());
    card.generationDefaults().forEach((name, value) -> out.text(name).real(value.doubleValue()));
    out.flag(card.embedding().isPresent());
    card.embedding()
        .ifPresent(
            embedding -> {
              out.text(embedding.pooling().name()).flag(embedding.normalized());
              out.number(embedding.width()).flag(embedding.shortens()).ints(embedding.widths());
              writeClassifier(out, embedding.classifier());
            });
    Parsing parsing = card.parsing();
    out.flag(parsing.autoToolChoice()).optionalText(parsing.toolParser().orElse(null));
    out.optionalText(parsing.reasoningParser().orElse(null)).text(parsing.reasoningEnd());
    out.flag(parsing.hideUncallableTools());
    out.text(card.fingerprint());
    out.list(
        card.adapters(),
        (wire, adapter) -> {
          wire.text(adapter.name()).text(adapter.root()).text(adapter.parent());
          SubmitCodec.writeAdapter(wire, adapter.source());
        });
  }

  private static ModelCard readCard(WireReader in) {
    List<String> names = in.texts();
    if (names.isEmpty()) {
      throw new WireException("a model without a name");
    }
    return new ModelCard(
        names,
        in.texts(),
        in.text(),
        in.whole(),
        in.whole(),
        in.number(),
        readDefaults(in),
        in.flag() ? Optional.of(readEmbedding(in)) : Optional.empty(),
        new Parsing(
            in.flag(),
            Optional.ofNullable(in.optionalText()),
            Optional.ofNullable(in.optionalText()),
            in.text(),
            in.flag()),
        in.text(),
        in.list(
            wire ->
                new AdapterCard(
                    wire.text(), wire.text(), wire.text(), SubmitCodec.readAdapter(wire))));
  }

  private static Map<String, Double> readDefaults(WireReader in) {
    Map<String, Double> defaults = new HashMap<>();
    int count = in.whole();
    for (int i = 0; i < count; i++) {
      defaults.put(in.text(), in.realDouble());
    }
    return defaults;
  }

  private static EmbeddingSpec readEmbedding(WireReader in) {
    return new EmbeddingSpec(
        in.constant(Pooling.class),
        in.flag(),
        in.whole(),
        in.flag(),
        in.ints(),
        in.flag() ? readClassifier(in) : null);
  }

  private static void writeClassifier(WireWriter out, @Nullable Classifier classifier) {
    out.flag(classifier != null);
    if (classifier != null) {
      out.texts(classifier.labels()).reals(classifier.weight());
      out.text(classifier.activation().name());
    }
  }

  private static Classifier readClassifier(WireReader in) {
    return new Classifier(in.texts(), in.reals(), in.constant(Classifier.Activation.class));
  }
}
