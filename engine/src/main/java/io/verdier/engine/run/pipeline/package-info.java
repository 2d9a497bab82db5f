/**
 * What the stages of a model tell each other, and how they work through it: the layers of one model
 * behind each other, in threads of this process or in other processes. A stage's thread owns its
 * model; links between stages are the caller's. Nothing is planned here, and no socket may enter.
 */
@NullMarked
package io.verdier.engine.run.pipeline;

import org.jspecify.annotations.NullMarked;
