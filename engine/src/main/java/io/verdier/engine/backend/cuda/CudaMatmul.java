package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.cuda.CudaLora.Addend;
import io.verdier.engine.backend.cuda.MatmulPlan.Hardware;
import java.util.HashMap;
import java.util.Map;

/** Launches multiplications. Owned by the executor thread. */
final class CudaMatmul {
  private final CudaDriver driver;
  private final Launch launch;
  private final Hardware hardware;
  private final Map<Shape, Planned> plans = new HashMap<>();

  /** What becomes of a product. */
  enum Epilogue {
    /** It is written to a tensor. */
    STORE(0),
    /** It is added to a tensor. */
    ADD(1),
    /** Its first half goes through silu, is multiplied with the second, and becomes an operand. */
    GATE(2);

    private final int code; // the kernels'

    Epilogue(int code) {
      this.code = code;
    }
  }

  /**
   * Where a product goes.
   *
   * @param stride columns between rows of a tensor; padded rows of an operand
   * @param addend what adapters add to a gated product
   */
  record Target(Epilogue epilogue, long address, int stride, Addend addend) {

    static Target of(CudaTensor tensor, Epilogue epilogue) {
      return new Target(epilogue, tensor.address(), tensor.stride(), Addend.NONE);
    }

    static Target gated(CudaOperand operand, Addend addend) {
      return new Target(Epilogue.GATE, operand.address(), operand.paddedRows(), addend);
    }
  }

  private record Shape(int tokens, int rows, WeightFormat format) {}

  private record Planned(MatmulPlan plan, CudaDriver.Kernel kernel) {}

  /**
   * @param hardware which kernels may be chosen
   */
  CudaMatmul(CudaDriver driver, Launch launch, Hardware hardware) {
    this.driver = driver;
    this.launch = launch;
    this.hardware = hardware;
  }

  /**
   * Queues a product.
   *
   * @param counts where the number of rows lies
   * @param gridRows rows for which the grid must have room
   */
  void run(Target target, CudaOperand in, CudaMatrix weight, long counts, int gridRows) {
    if (gridRows == 0) {
      return;
    }
    Planned planned = planned(new Shape(gridRows, weight.packedRows(), weight.format()));
    MatmulPlan plan = planned.plan;
    launch
        .grid(plan.gridX(), plan.gridY(), 1, plan.threads())
        .shared(plan.sharedBytes())
        .pointer(weight.address())
        .pointer(weight.scales())
        .pointer(weight.biases())
        .pointer(in.address())
        .integer(in.paddedRows())
        .pointer(target.address)
        .integer(target.stride)
        .pointer(counts)
        .integer(0)
        .integer(weight.packedRows())
        .integer(weight.columns())
        .integer(target.epilogue.code)
        .integer(plan.stages())
        .integer(plan.stageGroups())
        .pointer(target.addend.address())
        .pointer(target.addend.places());
    driver.launch(planned.kernel, launch);
  }

  private Planned planned(Shape shape) {
    Planned known = plans.get(shape);
    if (known == null) {
      MatmulPlan plan = MatmulPlan.of(shape.tokens, shape.rows, shape.format, hardware);
      known = new Planned(plan, driver.kernel(plan.kernel(), plan.sharedBytes()));
      plans.put(shape, known);
    }
    return known;
  }
}
