package io.verdier.verticles.bus;

/**
 * What HTTP must know of an adapter being served. Immutable.
 *
 * @param name by which requests ask for it
 * @param root where it came from, as {@code /v1/models} shows it
 * @param parent name of the model that it changes
 * @param identity as the engine knows it: of its content, whatever its name
 */
public record AdapterCard(String name, String root, String parent, String identity) {}
