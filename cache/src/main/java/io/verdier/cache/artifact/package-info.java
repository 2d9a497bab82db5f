/**
 * Files of models and adapters on the local disk, wherever they come from. Blocking: called on the
 * cache worker thread; a download has virtual threads of its own (docs/adr/0012). What is in the
 * files must not enter.
 */
@NullMarked
package io.verdier.cache.artifact;

import org.jspecify.annotations.NullMarked;
