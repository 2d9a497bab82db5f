package io.verdier.verticles.bus;

import java.util.List;

/** News for the streams of one HTTP instance, at most one {@link Delta} per sequence. Immutable. */
public record Deltas(List<Delta> deltas) {}
