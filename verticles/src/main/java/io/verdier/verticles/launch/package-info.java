/**
 * Start and end of the process: commands, assembly of the verticles, signals. The only package that
 * prints to the terminal or ends the process.
 */
@NullMarked
package io.verdier.verticles.launch;

import org.jspecify.annotations.NullMarked;
