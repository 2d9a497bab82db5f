/** From a step's plan to its outcome: forward pass, then sampling. Owned by the executor thread. */
@NullMarked
package io.verdier.engine.run;

import org.jspecify.annotations.NullMarked;
