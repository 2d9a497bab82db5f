/**
 * Files of models and adapters on the local disk, wherever they come from. Blocking: called on the
 * cache worker thread. HTTP must not enter.
 */
@NullMarked
package io.verdier.cache.artifact;

import org.jspecify.annotations.NullMarked;
