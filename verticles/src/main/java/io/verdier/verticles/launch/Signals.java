package io.verdier.verticles.launch;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.List;

/**
 * Signals of the operating system. Stateless.
 *
 * <p>Why by reflection: {@code sun.misc.Signal} is in a module that the JDK supports, {@code
 * jdk.unsupported}, and there is no other way, but the compiler warns of its name, and warnings are
 * errors here.
 */
final class Signals {
  private Signals() {}

  /**
   * Calls the handler, on a thread of its own, for each signal that comes. One that this process
   * may not handle ({@code -Xrs}, {@code nohup}) is left as it is, and so are all in a Java runtime
   * that has no such module.
   *
   * @param names without {@code SIG}
   */
  static void handle(List<String> names, Runnable handler) {
    try {
      Class<?> signal = Class.forName("sun.misc.Signal");
      Class<?> listener = Class.forName("sun.misc.SignalHandler");
      Object listening =
          Proxy.newProxyInstance(
              listener.getClassLoader(),
              new Class<?>[] {listener},
              (self, method, arguments) -> {
                if (method.getDeclaringClass() == Object.class) {
                  return method.invoke(handler, arguments);
                }
                handler.run();
                return null;
              });
      for (String name : names) {
        handle(signal, listener, name, listening);
      }
    } catch (ReflectiveOperationException none) {
      // Then the shutdown hook hears of the first one, as it does of any other end.
    }
  }

  private static void handle(Class<?> signal, Class<?> listener, String name, Object listening)
      throws ReflectiveOperationException {
    try {
      Object one = signal.getConstructor(String.class).newInstance(name);
      signal.getMethod("handle", signal, listener).invoke(null, one, listening);
    } catch (InvocationTargetException refused) {
      if (!(refused.getCause() instanceof IllegalArgumentException)) {
        throw refused;
      }
    }
  }
}
