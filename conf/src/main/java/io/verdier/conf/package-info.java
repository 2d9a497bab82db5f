/**
 * What the operator asked for: one table of flags, the environment, files; turned into validated
 * records. No threads, no network. The only package of the project that reads the environment.
 *
 * <p>Read in this order: {@code flags.txt} (the table), {@link io.verdier.conf.ConfigLoader} (the
 * way of a value), {@link io.verdier.conf.ArgvReader}, {@link io.verdier.conf.Settings} (who wins),
 * {@link io.verdier.conf.Assembler} (which flag becomes which field), {@link
 * io.verdier.conf.Conflicts}. What others use: {@link io.verdier.conf.ConfigLoader}, {@link
 * io.verdier.conf.LoadResult}, {@link io.verdier.conf.ServerConfig}, {@link
 * io.verdier.conf.Limits}, {@link io.verdier.conf.Environment}.
 */
@NullMarked
package io.verdier.conf;

import org.jspecify.annotations.NullMarked;
