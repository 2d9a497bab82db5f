/**
 * Checkpoint files: their headers checked, their bytes mapped. Nothing here believes a number from
 * a file before it has been compared with the file's size. Owned by whichever thread loads a model;
 * must not know what a weight is for.
 */
@NullMarked
package io.verdier.engine.weights;

import org.jspecify.annotations.NullMarked;
