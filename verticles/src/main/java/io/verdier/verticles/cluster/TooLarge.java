package io.verdier.verticles.cluster;

import io.verdier.engine.ErrorCode;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Refused;
import io.verdier.verticles.cluster.Frame.Answer;
import io.verdier.verticles.cluster.Frame.Item;
import io.verdier.verticles.cluster.Frame.News;
import io.verdier.verticles.cluster.Frame.Query;
import io.verdier.verticles.cluster.Frame.Stop;
import io.verdier.verticles.cluster.Frame.Work;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * What becomes of a frame that is too large to be sent: what it is about ends with a refusal, at
 * both nodes. Stateless.
 *
 * <p>Sending it all the same would cost everything between the two nodes: the receiver would refuse
 * it, miss its number, and begin anew with all their work, this one included.
 */
final class TooLarge {
  static final Refused WHY =
      new Refused(
          ErrorCode.INVALID_ARGUMENT,
          ("More than %d MiB at once cannot be sent between the nodes of a cluster. Shorten the"
                  + " prompt, or ask for fewer log probabilities.")
              .formatted(Seal.FRAME_BYTES_MAX >> 20),
          null);

  private TooLarge() {}

  /** What its receiver is told instead; empty: nothing. */
  static Optional<Frame> instead(Frame frame) {
    return switch (frame) {
      case News news ->
          Optional.of(
              new News(
                  news.items().stream()
                      .map(item -> refused(item.attempt(), item.offset(), item.delta().key()))
                      .toList()));
      case Answer answer -> Optional.of(new Answer(answer.id(), WHY));
      case Work _, Query _, Stop _ -> Optional.empty();
      case Frame.Announce _, Frame.Bounce _, Frame.Reset _, Frame.Drain _ -> Optional.empty();
    };
  }

  /** What its sender is to take for the receiver's answer; empty: nothing. */
  static Optional<Frame> answer(Frame frame) {
    return switch (frame) {
      case Work work -> {
        int offset = work.submit().generated().length;
        yield Optional.of(
            new News(
                Arrays.stream(work.submit().keys())
                    .mapToObj(key -> refused(work.attempt(), offset, key))
                    .toList()));
      }
      case Query query -> Optional.of(new Answer(query.id(), WHY));
      case News news -> Optional.of(unwanted(news.items()));
      case Answer _, Stop _ -> Optional.empty();
      case Frame.Announce _, Frame.Bounce _, Frame.Reset _, Frame.Drain _ -> Optional.empty();
    };
  }

  private static Item refused(int attempt, int offset, long key) {
    return new Item(attempt, offset, Delta.refused(key, WHY.code(), WHY.text(), WHY.parameter()));
  }

  private static Stop unwanted(List<Item> items) {
    return new Stop(
        items.stream().mapToLong(item -> item.delta().key()).toArray(),
        items.stream().mapToInt(Item::attempt).toArray(),
        Stop.Why.UNWANTED);
  }
}
