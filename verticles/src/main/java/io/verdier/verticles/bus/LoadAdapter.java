package io.verdier.verticles.bus;

import java.util.Optional;

/**
 * Asks for an adapter to be served under a name; answered with its {@link AdapterCard} once it was
 * read and fits the model, or a {@link Refused}. Immutable.
 *
 * @param place directory, {@code gs://} prefix, Hub id or address of an archive
 * @param parent shown as the model that it changes; empty: the one that is served
 * @param isReplacing whether the name may be one that is served: it then means the new one
 */
public record LoadAdapter(String name, String place, Optional<String> parent, boolean isReplacing) {

  /** Without what an address may hide. */
  @Override
  public String toString() {
    return "LoadAdapter[" + name + "]";
  }
}
