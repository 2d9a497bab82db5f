package io.verdier.verticles.bench.offline;

import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.Rows;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * How long each operation of a backend takes that computes while it is called: as the caller sees
 * it, waiting for all threads included. Owned by the thread that runs the steps.
 *
 * <p>Operations are kept apart by name and, for products, by the shape of the weights, and gathered
 * per step until it is known of which kind the step was.
 */
final class OpTimes {
  private static final Set<String> OPERATIONS =
      Set.of(
          "embed",
          "rmsNorm",
          "convert",
          "matmul",
          "matmulAdd",
          "matmulGate",
          "addLora",
          "rotateAndStore",
          "attend",
          "gather",
          "read",
          "write",
          "logits");

  private final Map<String, Op> step = new HashMap<>();

  /**
   * One operation of all steps that were gathered.
   *
   * @param weightBytes read by all of its calls
   * @param operations multiplications and additions of products, attention's not counted
   */
  record Line(String name, long calls, long nanos, long weightBytes, long operations) {}

  /** Owned by the measuring thread. What came together over some steps. */
  static final class Profile {
    private final Map<String, Op> ops = new HashMap<>();

    void add(Map<String, Op> step) {
      step.forEach((name, op) -> ops.computeIfAbsent(name, n -> new Op()).add(op));
    }

    void add(Profile other) {
      add(other.ops);
    }

    /** The longest first. */
    List<Line> lines() {
      return ops.entrySet().stream()
          .map(entry -> entry.getValue().line(entry.getKey()))
          .sorted(Comparator.comparingLong(Line::nanos).reversed())
          .toList();
    }
  }

  /** Owned as {@link OpTimes}. What one operation took. */
  static final class Op {
    private long calls;
    private long nanos;
    private long weightBytes;
    private long operations;

    void add(Op other) {
      calls += other.calls;
      nanos += other.nanos;
      weightBytes += other.weightBytes;
      operations += other.operations;
    }

    Line line(String name) {
      return new Line(name, calls, nanos, weightBytes, operations);
    }
  }

  /** The backend, timed. */
  Backend around(Backend backend) {
    InvocationHandler timed =
        (proxy, method, arguments) -> {
          if (method.getName().equals("rotateStoreAttend")) {
            return InvocationHandler.invokeDefault(proxy, method, arguments); // two operations
          }
          long start = System.nanoTime();
          Object result = call(backend, method, arguments);
          if (OPERATIONS.contains(method.getName())) {
            add(method.getName(), arguments, System.nanoTime() - start);
          }
          return result;
        };
    return (Backend)
        Proxy.newProxyInstance(
            Backend.class.getClassLoader(), new Class<?>[] {Backend.class}, timed);
  }

  /** What was called since the last time. */
  Map<String, Op> take() {
    Map<String, Op> taken = Map.copyOf(step);
    step.clear();
    return taken;
  }

  private void add(String operation, Object[] arguments, long nanos) {
    Backend.@Nullable Matrix weight = null;
    long rows = 0;
    for (Object argument : arguments) {
      if (argument instanceof Backend.Matrix matrix) {
        weight = matrix;
      } else if (argument instanceof Rows counted) {
        rows = counted.rows();
      }
    }
    if (weight == null || operation.equals("embed")) {
      op(operation, nanos);
      return;
    }
    Op op = op(operation + " " + weight.rows() + "x" + weight.columns(), nanos);
    op.weightBytes += weight.bytes();
    op.operations += 2 * rows * weight.rows() * weight.columns();
  }

  private Op op(String name, long nanos) {
    Op op = step.computeIfAbsent(name, n -> new Op());
    op.calls++;
    op.nanos += nanos;
    return op;
  }

  private static @Nullable Object call(Backend backend, Method method, Object[] arguments)
      throws Throwable {
    try {
      return method.invoke(backend, arguments);
    } catch (InvocationTargetException thrown) {
      throw thrown.getCause();
    }
  }
}
