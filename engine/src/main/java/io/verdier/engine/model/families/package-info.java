/**
 * One class per model family, each saying how it differs from another. Immutable. No arithmetic: a
 * family only names choices that the transformer knows.
 */
@NullMarked
package io.verdier.engine.model.families;

import org.jspecify.annotations.NullMarked;
