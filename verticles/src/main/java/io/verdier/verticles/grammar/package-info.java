/**
 * Constraints to grammars: a thin actor around {@code engine.grammar}, and what it remembers. A
 * worker of its own, so that a constraint that takes long to prepare holds up neither prompts nor
 * steps. No HTTP, no tokens of answers.
 */
@NullMarked
package io.verdier.verticles.grammar;

import org.jspecify.annotations.NullMarked;
