package io.verdier.engine.grammar;

import io.verdier.engine.grammar.GrammarState.Place;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * In which states of which rules a text is, whoever called them: what states that differ in a count
 * have in common. Immutable, but for what its owner remembers.
 *
 * <p>Bytes that lead every place to the same are one column. There are a few, where a grammar of
 * many names tells a hundred classes of bytes apart.
 */
final class Shape {
  private final Place[] places;
  private final int hash;
  private final byte[] columns; // by byte class of the grammar; 0: leads nowhere
  private final int[] examples; // a byte of each column

  // Which place completes a round with any character of a set while the others end; -1: none.
  ContentSet.@Nullable Key roundKey;
  int round;
  int roundCost;

  /**
   * @param places whose callers do not matter
   */
  private Shape(Place[] places, int hash, byte[] columns, int[] examples) {
    this.places = places;
    this.hash = hash;
    this.columns = columns;
    this.examples = examples;
  }

  /** Without columns, to look for another. */
  static Shape key(GrammarState state) {
    int hash = 0;
    for (Place place : state.places()) {
      hash = 31 * (31 * hash + place.rule().hashCode()) + place.state();
    }
    return new Shape(state.places(), hash, new byte[0], new int[0]);
  }

  Shape completed(Grammar grammar) {
    Place[] alone = new Place[places.length];
    for (int i = 0; i < alone.length; i++) {
      alone[i] = new Place(places[i].rule(), places[i].state(), Callers.NONE);
    }
    byte[] named = new byte[grammar.classCount()];
    int[] found = new int[grammar.classCount() + 1];
    int count = 1;
    for (int c = 0; c < named.length; c++) {
      int example = grammar.example(c);
      if (!takes(example)) {
        continue;
      }
      int column = 1;
      while (column < count && !isAlike(found[column], example)) {
        column++;
      }
      found[column] = example;
      count = Math.max(count, column + 1);
      named[c] = (byte) column; // at most 256: never all of them, since 0xff leads nowhere
    }
    return new Shape(alone, hash, named, Arrays.copyOf(found, count));
  }

  private boolean takes(int value) {
    for (Place place : places) {
      if (place.rule().next(place.state(), value) != ByteDfa.DEAD) {
        return true;
      }
    }
    return false;
  }

  private boolean isAlike(int a, int b) {
    for (Place place : places) {
      if (place.rule().next(place.state(), a) != place.rule().next(place.state(), b)) {
        return false;
      }
    }
    return true;
  }

  /** Of what it holds, about. */
  long bytes() {
    return 100 + 24L * places.length + columns.length + 4L * examples.length;
  }

  /** 0: leads nowhere. */
  int column(int byteClass) {
    return columns[byteClass] & 0xff;
  }

  /** The one of bytes that lead nowhere too. */
  int columnCount() {
    return examples.length;
  }

  int example(int column) {
    return examples[column];
  }

  @Override
  public boolean equals(@Nullable Object other) {
    if (!(other instanceof Shape shape) || shape.places.length != places.length) {
      return false;
    }
    for (int i = 0; i < places.length; i++) {
      Place theirs = shape.places[i];
      if (places[i].rule() != theirs.rule() || places[i].state() != theirs.state()) {
        return false;
      }
    }
    return true;
  }

  @Override
  public int hashCode() {
    return hash;
  }
}
