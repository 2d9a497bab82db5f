package io.verdier.verticles.cluster.socket;

import io.vertx.core.buffer.Buffer;
import java.util.function.Function;

/**
 * What is spoken on a {@link SealedSocket}. Immutable.
 *
 * @param name keys of connections are made of it
 * @param parties who speaks it, for operators
 * @param magic first four bytes of either end
 * @param version whoever speaks another one is not listened to
 * @param bytesMax of a frame, but for the first one
 * @param write a frame's binary form
 * @param read the frame; throws {@link io.verdier.verticles.cluster.WireException} if it is none
 */
public record Protocol<F>(
    String name,
    String parties,
    int magic,
    int version,
    int bytesMax,
    Function<F, Buffer> write,
    Function<Buffer, F> read) {}
