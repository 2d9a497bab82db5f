package io.verdier.verticles.http;

/**
 * Tokens of a request. Immutable.
 *
 * @param prompt tokens of all prompts, each counted once however many choices continue it
 * @param completion generated tokens of all choices
 * @param cached prompt tokens found in the prefix cache
 */
public record Usage(int prompt, int completion, int cached) {}
