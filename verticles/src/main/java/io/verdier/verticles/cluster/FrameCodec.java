package io.verdier.verticles.cluster;

import io.verdier.verticles.balance.Prefixes;
import io.verdier.verticles.bus.DetokenizeQuery;
import io.verdier.verticles.bus.Refused;
import io.verdier.verticles.bus.TokenizeQuery;
import io.verdier.verticles.cluster.Frame.Announce;
import io.verdier.verticles.cluster.Frame.Answer;
import io.verdier.verticles.cluster.Frame.Bounce;
import io.verdier.verticles.cluster.Frame.Drain;
import io.verdier.verticles.cluster.Frame.Item;
import io.verdier.verticles.cluster.Frame.News;
import io.verdier.verticles.cluster.Frame.Query;
import io.verdier.verticles.cluster.Frame.Reset;
import io.verdier.verticles.cluster.Frame.Stop;
import io.verdier.verticles.cluster.Frame.Work;

/**
 * The binary form of {@link Frame}s. Stateless.
 *
 * <p>A frame is its kind, an octet, and its fields in the order of the record. There are no tags
 * and no optional fields: {@link Seal} carries {@link #VERSION}, and whoever speaks another one is
 * not listened to. Any change of what is written here, or of the names of enum constants, is
 * another version; during a rolling upgrade the nodes of each version serve among themselves.
 */
final class FrameCodec {
  static final int VERSION = 5;

  private static final int ANNOUNCE = 1;
  private static final int WORK = 2;
  private static final int STOP = 3;
  private static final int NEWS = 4;
  private static final int BOUNCE = 5;
  private static final int RESET = 6;
  private static final int QUERY = 7;
  private static final int ANSWER = 8;
  private static final int DRAIN = 9;

  private FrameCodec() {}

  static void write(WireWriter out, Frame frame) {
    switch (frame) {
      case Announce announce ->
          AnnouncementCodec.write(out.octet(ANNOUNCE), announce.announcement());
      case Work work -> {
        SubmitCodec.write(out.octet(WORK).number(work.attempt()), work.submit());
        out.longs(work.prefixes());
      }
      case Stop stop ->
          out.octet(STOP).longs(stop.keys()).ints(stop.attempts()).text(stop.why().name());
      case News news -> out.octet(NEWS).list(news.items(), FrameCodec::writeItem);
      case Bounce bounce ->
          DeltaCodec.writeRefused(
              out.octet(BOUNCE).longs(bounce.keys()).number(bounce.attempt()), bounce.why());
      case Reset ignored -> out.octet(RESET);
      case Query query -> writeQuery(out.octet(QUERY).fixed(query.id()), query.query());
      case Answer answer -> writeReply(out.octet(ANSWER).fixed(answer.id()), answer.reply());
      case Drain drain -> out.octet(DRAIN).flag(drain.wanted());
    }
  }

  /**
   * @throws WireException if it is none
   */
  static Frame read(WireReader in) {
    Frame frame =
        switch (in.octet()) {
          case ANNOUNCE -> new Announce(AnnouncementCodec.read(in));
          case WORK -> new Work(in.whole(), SubmitCodec.read(in), readPrefixes(in));
          case STOP -> readStop(in);
          case NEWS -> new News(in.list(FrameCodec::readItem));
          case BOUNCE -> new Bounce(in.longs(), in.whole(), DeltaCodec.readRefused(in));
          case RESET -> new Reset();
          case QUERY -> new Query(in.fixed(), readQuery(in));
          case ANSWER -> new Answer(in.fixed(), readReply(in));
          case DRAIN -> new Drain(in.flag());
          default -> throw new WireException("no such frame");
        };
    in.requireEnd();
    return frame;
  }

  private static long[] readPrefixes(WireReader in) {
    long[] prefixes = in.longs();
    if (prefixes.length > Prefixes.CHUNKS_MAX) {
      throw new WireException(prefixes.length + " prefixes");
    }
    return prefixes;
  }

  private static Stop readStop(WireReader in) {
    Stop stop = new Stop(in.longs(), in.ints(), in.constant(Stop.Why.class));
    if (stop.keys().length != stop.attempts().length) {
      throw new WireException("keys without attempts");
    }
    return stop;
  }

  private static void writeItem(WireWriter out, Item item) {
    DeltaCodec.write(out.number(item.attempt()).number(item.offset()), item.delta());
  }

  private static Item readItem(WireReader in) {
    return new Item(in.whole(), in.whole(), DeltaCodec.read(in));
  }

  private static void writeQuery(WireWriter out, Object query) {
    switch (query) {
      case TokenizeQuery tokenize -> {
        SubmitCodec.writePrompt(out.octet(0).text(tokenize.model()), tokenize.prompt());
        out.flag(tokenize.tokenStrings());
      }
      case DetokenizeQuery detokenize ->
          out.octet(1).text(detokenize.model()).ints(detokenize.ids());
      default -> throw new IllegalStateException("no query: " + query.getClass());
    }
  }

  private static Object readQuery(WireReader in) {
    return switch (in.octet()) {
      case 0 -> new TokenizeQuery(in.text(), SubmitCodec.readPrompt(in), in.flag());
      case 1 -> new DetokenizeQuery(in.text(), in.ints());
      default -> throw new WireException("no such query");
    };
  }

  private static void writeReply(WireWriter out, Object reply) {
    switch (reply) {
      case TokenizeQuery.Reply ids -> out.octet(0).ints(ids.ids()).texts(ids.tokenStrings());
      case DetokenizeQuery.Reply text -> out.octet(1).text(text.text());
      case Refused refused -> DeltaCodec.writeRefused(out.octet(2), refused);
      default -> throw new IllegalStateException("no reply: " + reply.getClass());
    }
  }

  private static Object readReply(WireReader in) {
    return switch (in.octet()) {
      case 0 -> new TokenizeQuery.Reply(in.ints(), in.texts());
      case 1 -> new DetokenizeQuery.Reply(in.text());
      case 2 -> DeltaCodec.readRefused(in);
      default -> throw new WireException("no such reply");
    };
  }
}
