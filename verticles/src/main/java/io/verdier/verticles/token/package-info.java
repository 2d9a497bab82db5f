/**
 * Text to ids and ids to text: thin actors around {@code engine.text}. Worker threads, one per
 * instance. No sampling, no HTTP.
 */
@NullMarked
package io.verdier.verticles.token;

import org.jspecify.annotations.NullMarked;
