/**
 * LoRA adapters on their way from where they lie to host memory: who waits for which, which of them
 * stay, what a client may name. Books only: no bytes, no threads, no clock of its own. The adapter
 * thread owns them. What an adapter is, and the device's slots, do not enter here.
 */
@NullMarked
package io.verdier.cache.lora;

import org.jspecify.annotations.NullMarked;
