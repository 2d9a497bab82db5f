/**
 * Text to token ids and back: tokenizer, incremental detokenizer, stop strings, chat templates.
 * Worker threads of the tokenizer and detokenizer verticles own the mutable parts. No HTTP, no JSON
 * of the API.
 */
@NullMarked
package io.verdier.engine.text;

import org.jspecify.annotations.NullMarked;
