package io.verdier.verticles.bus;

import io.verdier.engine.grammar.Constraint;

/**
 * What an answer must match, and which field of the request says so. Immutable.
 *
 * @param parameter dotted path of the field, for refusals
 */
public record Demand(Constraint constraint, String parameter) {}
