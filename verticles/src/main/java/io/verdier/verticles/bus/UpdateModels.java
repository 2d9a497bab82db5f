package io.verdier.verticles.bus;

import java.util.List;

/**
 * An operator wants other models served; answered with {@link Done} when they are, or with {@link
 * Refused}. Immutable.
 *
 * @param place of the file that names them
 */
public record UpdateModels(String place) {

  /**
   * What became of the models, by name.
   *
   * @param loaded those that are new or changed
   * @param kept those that went on meanwhile
   * @param unloaded those that were there and are not, or are loaded anew
   */
  public record Done(List<String> loaded, List<String> kept, List<String> unloaded) {
    public Done {
      loaded = List.copyOf(loaded);
      kept = List.copyOf(kept);
      unloaded = List.copyOf(unloaded);
    }
  }
}
