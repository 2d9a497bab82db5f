/**
 * Native libraries out of our jars: unpacked once into a directory that nobody else can write to.
 * Any thread, at start-up only. Nothing that calls such a library belongs here.
 */
@NullMarked
package io.verdier.engine.natives;

import org.jspecify.annotations.NullMarked;
