/**
 * What an answer must match, as automata over bytes: regular expressions, JSON schemas and grammars
 * become {@link io.verdier.engine.grammar.Expression}s, those a {@link
 * io.verdier.engine.grammar.Grammar}, and a {@link io.verdier.engine.grammar.TokenGrammar} says
 * after any tokens which may follow. Usable without the server. No Vert.x, no tokenizer beyond the
 * bytes of its tokens, and nothing random: where a text stands is a function of its tokens so far.
 */
@NullMarked
package io.verdier.engine.grammar;

import org.jspecify.annotations.NullMarked;
