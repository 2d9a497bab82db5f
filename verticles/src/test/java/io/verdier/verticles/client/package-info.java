/**
 * A started server against the clients that people use. Each test class starts a server of its own;
 * nothing here may know how the server works inside.
 */
@NullMarked
package io.verdier.verticles.client;

import org.jspecify.annotations.NullMarked;
