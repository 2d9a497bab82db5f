/**
 * Reasoning in generated text: where a model's thinking ends and its answer begins. Parsers are
 * owned by whoever follows the text of one sequence. No tokens, no HTTP.
 */
@NullMarked
package io.verdier.engine.text.reasoning;

import org.jspecify.annotations.NullMarked;
