/**
 * Books and bytes that outlive a step: the block pool and its prefix index, host and disk tiers. No
 * threads of its own, no HTTP client.
 */
@NullMarked
package io.verdier.cache;

import org.jspecify.annotations.NullMarked;
