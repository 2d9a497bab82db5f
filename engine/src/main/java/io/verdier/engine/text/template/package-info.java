/**
 * A Jinja interpreter for chat templates: lexer, Pratt parser, sealed syntax tree, tree-walking
 * evaluator with Python semantics over plain Java values. A parsed {@link
 * io.verdier.engine.text.template.Template} is immutable and shared; a rendering belongs to the
 * thread that asked for it. Templates come from model files and users, so nothing here may touch
 * files, network, reflection or the host's clock, and nothing may recurse or grow without a bound.
 */
@NullMarked
package io.verdier.engine.text.template;

import org.jspecify.annotations.NullMarked;
