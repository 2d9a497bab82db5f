package io.verdier.verticles.bus;

import io.verdier.cache.lora.AdapterSource;

/**
 * What HTTP must know of an adapter being served. Immutable.
 *
 * @param name by which requests ask for it
 * @param root where it came from, as {@code /v1/models} shows it
 * @param parent name of the model that it changes
 * @param source its files on this host, and what they must be: the identity by which the engine
 *     knows it, whatever its name
 */
public record AdapterCard(String name, String root, String parent, AdapterSource source) {}
