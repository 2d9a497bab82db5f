package io.verdier.engine.schedule;

import io.verdier.engine.sample.TokenLogprobs;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.function.Function;
import java.util.function.IntPredicate;

/**
 * Beam search as vLLM writes it down: one position after the other, all of them, with plain lists.
 * Immutable.
 *
 * @param scores of what may follow some tokens, at least twice the width
 * @param ends whether a token ends an answer
 */
public record ReferenceSearch(
    Function<List<Integer>, TokenLogprobs> scores,
    IntPredicate ends,
    int width,
    int lengthMax,
    double lengthPenalty) {

  /**
   * An answer, or its beginning.
   *
   * @param tokens prompt included
   */
  public record Found(List<Integer> tokens, double sum, boolean isEnded) {}

  /** The best answers, best first. */
  public List<Found> run(int[] prompt) {
    List<Found> beams = List.of(new Found(Arrays.stream(prompt).boxed().toList(), 0, false));
    List<Found> complete = new ArrayList<>();
    while (!beams.isEmpty() && beams.getFirst().tokens().size() < lengthMax) {
      List<Found> grown = new ArrayList<>();
      for (Found beam : beams) {
        TokenLogprobs next = scores.apply(beam.tokens());
        for (int i = 0; i < Math.min(2 * width, next.topIds().length); i++) {
          List<Integer> tokens = new ArrayList<>(beam.tokens());
          tokens.add(next.topIds()[i]);
          boolean isEnded = ends.test(next.topIds()[i]);
          Found found = new Found(tokens, beam.sum() + next.topLogprobs()[i], isEnded);
          (isEnded ? complete : grown).add(found);
        }
      }
      beams = best(grown);
    }
    complete.addAll(beams);
    return best(complete);
  }

  private List<Found> best(List<Found> all) {
    return all.stream()
        .sorted(Comparator.comparingDouble(this::score).reversed())
        .limit(width)
        .toList();
  }

  private double score(Found found) {
    int length = found.tokens().size() - (found.isEnded() ? 1 : 0);
    return found.sum() / StrictMath.pow(length, lengthPenalty);
  }
}
