/**
 * Tool calls in generated text: one format a class, each read character by character, so that a
 * streamed text gives exactly what the whole one gives. Parsers are owned by whoever follows the
 * text of one sequence. No tokens, no HTTP.
 */
@NullMarked
package io.verdier.engine.text.toolcall;

import org.jspecify.annotations.NullMarked;
