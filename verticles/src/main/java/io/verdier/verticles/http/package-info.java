/**
 * The HTTP ingress: one gate (key, state, admission, size) before any work, requests parsed once
 * into bus messages, answers written as they come. Every object of a request is owned by the event
 * loop of its connection; only {@link io.verdier.verticles.http.Admission} is shared between event
 * loops. Vert.x Web finds the route and serves the page's files; what bounds and guards a request
 * is our own. No tokenizing, no template, no model arithmetic enters.
 *
 * <p>A request's way: {@link io.verdier.verticles.http.Dispatcher} → a route in {@code routes} →
 * {@link io.verdier.verticles.http.Flight} → bus → {@link io.verdier.verticles.http.Sequences} →
 * {@link io.verdier.verticles.http.Answer}.
 */
@NullMarked
package io.verdier.verticles.http;

import org.jspecify.annotations.NullMarked;
