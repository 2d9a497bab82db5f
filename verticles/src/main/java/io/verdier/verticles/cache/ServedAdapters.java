package io.verdier.verticles.cache;

import io.verdier.cache.artifact.Artifact;
import io.verdier.verticles.bus.AdapterCard;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Adapters by the names under which they are served. Owned by the adapter thread. Their files are
 * kept on the disk for as long.
 */
final class ServedAdapters {
  private final Map<String, Served> byName = new LinkedHashMap<>(); // as they were asked for

  /** Owned like the names. */
  private static final class Served {
    private @Nullable AdapterCard card; // null: being loaded
    private @Nullable Artifact files;
    private boolean isLoading;
  }

  /** Those that are there, in the order in which they were asked for. */
  List<AdapterCard> cards() {
    return byName.values().stream().map(it -> it.card).filter(Objects::nonNull).toList();
  }

  /**
   * Takes a name.
   *
   * @param isReplacing whether it may be one that is served
   * @return false where it is taken
   */
  boolean begin(String name, boolean isReplacing) {
    Served there = byName.get(name);
    if (there != null && (there.isLoading || !isReplacing)) {
      return false;
    }
    byName.computeIfAbsent(name, it -> new Served()).isLoading = true;
    return true;
  }

  /** From now on a name that was taken means this. */
  void end(AdapterCard card, Artifact files) {
    Served served = Objects.requireNonNull(byName.get(card.name()), card.name());
    close(served);
    served.card = card;
    served.files = files;
    served.isLoading = false;
  }

  /** A name that was taken means what it meant before, if anything. */
  void cancel(String name) {
    Served served = Objects.requireNonNull(byName.get(name), name);
    served.isLoading = false;
    if (served.card == null) {
      byName.remove(name);
    }
  }

  /**
   * Frees a name.
   *
   * @return false where nothing is served under it
   */
  boolean remove(String name) {
    Served served = byName.get(name);
    if (served == null || served.card == null || served.isLoading) {
      return false;
    }
    byName.remove(name);
    close(served);
    return true;
  }

  void close() {
    byName.values().forEach(ServedAdapters::close);
    byName.clear();
  }

  private static void close(Served served) {
    if (served.files != null) {
      served.files.close();
      served.files = null;
    }
  }
}
