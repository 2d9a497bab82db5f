package io.verdier.verticles.http.routes;

import io.verdier.engine.RejectedException;
import java.util.List;

/** Reads lists of token ids. Stateless. */
final class TokenIds {
  private TokenIds() {}

  /**
   * @throws RejectedException unless all are ids of the vocabulary, and at least one
   */
  static int[] read(List<?> given, String path, int vocabularySize) {
    if (given.isEmpty()) {
      throw RejectedException.invalid(path, path + " must have at least one token id.");
    }
    int[] ids = new int[given.size()];
    for (int i = 0; i < ids.length; i++) {
      if (!(given.get(i) instanceof Long id) || id < 0 || id >= vocabularySize) {
        throw Fields.wrongAt(
            path + "." + i, given.get(i), "a token id from 0 to " + (vocabularySize - 1));
      }
      ids[i] = id.intValue();
    }
    return ids;
  }
}
