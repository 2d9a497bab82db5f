package io.verdier.verticles.launch;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.IntStream;

/**
 * Ports for servers that must be told theirs before they start. Stateless.
 *
 * <p>Not those that the system gives to whoever asks for any: from 32,768 on it gives them to every
 * connection of every process too, perhaps before the server has it.
 */
public final class FreePorts {
  private static final int SLICES = 4; // test classes that run at once do not take each other's
  private static final int SLICE = 3_000;
  private static final int FIRST =
      20_000 + (Integer.getInteger("verdier.fork", 1) - 1) % SLICES * SLICE;
  private static final int TRIES = 1000;

  private FreePorts() {}

  public static int one() {
    return row(1);
  }

  /** So many, one behind the other. */
  public static List<Integer> several(int count) {
    int first = row(count);
    return IntStream.range(first, first + count).boxed().toList();
  }

  /** The first of so many in a row. */
  public static int row(int count) {
    for (int i = 0; i < TRIES; i++) {
      int first = ThreadLocalRandom.current().nextInt(FIRST, FIRST + SLICE - count);
      if (IntStream.range(first, first + count).allMatch(FreePorts::isFree)) {
        return first;
      }
    }
    throw new IllegalStateException("no " + count + " free ports in a row");
  }

  private static boolean isFree(int port) {
    try (ServerSocket socket = new ServerSocket(port, 1, InetAddress.getLoopbackAddress())) {
      return socket.isBound();
    } catch (IOException taken) {
      return false;
    }
  }
}
