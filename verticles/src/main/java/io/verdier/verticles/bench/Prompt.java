package io.verdier.verticles.bench;

/**
 * One request to send. Immutable.
 *
 * @param inputTokens the text's length, template and special tokens included
 * @param outputTokens to ask for
 */
record Prompt(String text, int inputTokens, int outputTokens) {}
