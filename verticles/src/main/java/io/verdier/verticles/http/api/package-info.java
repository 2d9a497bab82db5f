/**
 * What the API is, as data: the tables of request fields and of routes, and what is rendered from
 * them. Immutable; nothing here reads a request or answers one.
 */
@NullMarked
package io.verdier.verticles.http.api;

import org.jspecify.annotations.NullMarked;
