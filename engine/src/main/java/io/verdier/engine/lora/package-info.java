/**
 * LoRA adapters (Hu et al., 2021): from a directory in PEFT's layout to factors that fit the model,
 * and which of them is in which of the device's slots. Reading happens on any thread; the slots are
 * the executor thread's. Neither names of adapters nor downloads enter here.
 */
@NullMarked
package io.verdier.engine.lora;

import org.jspecify.annotations.NullMarked;
