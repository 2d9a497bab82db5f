package io.verdier.engine.text.template;

import java.util.Iterator;

/**
 * Owned by the rendering thread. Python's generator: what {@code map}, {@code select} and their
 * like give. Can be walked once, is always true, has no length and no items.
 */
record Lazy(Iterator<Object> items) {}
