/**
 * The benchmark client behind {@code verdier bench serve}: sends load to any server with an OpenAI
 * API and measures what comes back. One event loop owns everything that moves. Classes of the
 * engine and of the server must not enter: a client that shares code with what it measures proves
 * little.
 */
@NullMarked
package io.verdier.verticles.bench;

import org.jspecify.annotations.NullMarked;
