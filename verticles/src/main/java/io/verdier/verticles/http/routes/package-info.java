/**
 * One file per route, and what the routes that generate share: reading request fields and writing
 * answers in OpenAI's and Vertex AI's shapes. Owned by the event loop of the connection. What is
 * common to all routes (keys, limits, admission) must not enter.
 */
@NullMarked
package io.verdier.verticles.http.routes;

import org.jspecify.annotations.NullMarked;
