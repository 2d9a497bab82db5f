/**
 * What actors say to each other and how: addresses, immutable messages, the only users of the event
 * bus. Messages pass by reference inside a node. No logic enters.
 */
@NullMarked
package io.verdier.verticles.bus;

import org.jspecify.annotations.NullMarked;
