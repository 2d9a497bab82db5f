package io.verdier.engine.backend.cuda;

import static io.verdier.engine.backend.Shapes.requireColumns;
import static io.verdier.engine.backend.Shapes.requireRows;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.backend.LoraShape.Product;
import io.verdier.engine.backend.LoraShape.Product.Input;
import org.jspecify.annotations.Nullable;

/**
 * Additions of adapters: what {@code lora.cu} is launched with. Owned by the executor thread.
 *
 * <p>Two launches a product, and none in a step whose rows have no adapter. Buffers grow with the
 * rows that have one.
 *
 * <p>Rows of the output matrix are a batch of their own, told to the device where they are needed:
 * behind the step, on which the next one's batch would else wait.
 */
final class CudaLora {
  private static final int SHRINK_THREADS = 128;
  private static final int EXPAND_THREADS = 128;
  private static final int EXPAND_OUTPUTS = 256; // of a block
  private static final int EXPAND_ROWS = 8; // that it adds up at a time

  /** From so many blocks on, a tile's rows are one block's, which then fetches B once. */
  private static final int BLOCKS_ENOUGH = 1024;

  private static final int SEGMENT_COLUMNS = 1024;
  private static final int RANKS = 16; // of a block
  private static final int PARTS_MAX = 3;
  private static final int LOOK_UP_THREADS = 128;

  private final CudaDriver driver;
  private final Launch launch;
  private final CudaLoraSlots slots;
  private final Runnable onMove;
  private final CudaDriver.Kernel shrink;
  private final CudaDriver.Kernel lookUp;
  private final CudaDriver.Kernel expand;
  private final LoraInputs inputsOfSteps;
  private final LoraInputs inputsOfOthers;
  private LoraInputs inputs; // one of them: those of the batch that is worked on
  private @Nullable AttentionBatch step;
  private final DeviceBuffer sums; // f32 [rows][parts][segments][ranks] of one product
  private final DeviceBuffer addend; // f32 [rows][rows of a gated product's weights]
  private final int rankTiles;
  private final long sumsPerRow; // floats, of the product with most
  private final long addendPerRow;

  /**
   * What is added before gate and up meet.
   *
   * @param address 0 for nothing
   * @param places of each row in it, on the device
   */
  record Addend(long address, long places) {
    static final Addend NONE = new Addend(0, 0);
  }

  /**
   * @param onMove called when a buffer is about to have another address
   */
  CudaLora(CudaDriver driver, Launch launch, CudaLoraSlots slots, Runnable onMove) {
    this.driver = driver;
    this.launch = launch;
    this.slots = slots;
    this.onMove = onMove;
    shrink = driver.kernel("lora_shrink", 0);
    expand = driver.kernel("lora_expand", 0);
    lookUp = driver.kernel("lora_look_up", 0);
    LoraShape shape = slots.shape();
    inputsOfSteps = new LoraInputs(driver, shape.slots(), onMove);
    inputsOfOthers = new LoraInputs(driver, shape.slots(), () -> {}); // they are in no graph
    inputs = inputsOfSteps;
    sums = new DeviceBuffer(driver);
    addend = new DeviceBuffer(driver);
    rankTiles = (shape.rankMax() + RANKS - 1) / RANKS;
    sumsPerRow = shape.products().stream().mapToLong(this::sumsOfRow).max().orElse(0);
    addendPerRow = shape.products().stream().mapToLong(CudaLora::addendOfRow).max().orElse(0);
  }

  private static int segments(Product product) {
    return product.input() == Input.TOKENS
        ? 1
        : (product.columns() + SEGMENT_COLUMNS - 1) / SEGMENT_COLUMNS;
  }

  private long sumsOfRow(Product product) {
    return (long) product.partRows().size() * segments(product) * rankTiles * RANKS;
  }

  /** Of two equal parts: they may be a gate and what it lets through. */
  private static long addendOfRow(Product product) {
    boolean isPair =
        product.partRows().size() == 2
            && product.partRows().getFirst().equals(product.partRows().getLast());
    return isPair ? CudaMatrix.pairedRows(product.partRows().getFirst()) : 0;
  }

  CudaLoraSlots slots() {
    return slots;
  }

  /**
   * Has a step's batch on the device, and room for what its rows need. Must come before a capture
   * or a replay: neither allocates.
   */
  void prepare(AttentionBatch batch) {
    step = batch;
    use(batch);
  }

  private void use(AttentionBatch batch) {
    if (batch.hasAdapters()) {
      inputs = batch == step ? inputsOfSteps : inputsOfOthers;
      inputs.on(batch);
      long rows = StepGraphs.roundedRows(batch.rowsMax()); // at once: growing would end all graphs
      sums.reserve(rows * sumsPerRow * Float.BYTES, onMove);
      addend.reserve(rows * addendPerRow * Float.BYTES, onMove);
    }
  }

  /**
   * Adds to a product.
   *
   * @param capturedRows 0, or the rows of the steps that a graph is captured for
   */
  void add(CudaTensor out, CudaOperand in, int product, AttentionBatch batch, int capturedRows) {
    Product adapted = slots.shape().products().get(product);
    requireRows(out.rows(), in.rows());
    requireColumns(out.columns(), adapted.rows());
    if (begin(in, adapted, batch)) {
      int tiles = tiles(capturedRows);
      shrink(in, product, tiles);
      expand(out.address(), out.stride(), 0, product, tiles);
    }
  }

  /**
   * Tokens on the device.
   *
   * @param address of those of a batch's rows; a negative one is {@link AttentionBatch#sampled}
   * @param sampled address of what the sampler has chosen
   */
  record Tokens(long address, long sampled) {}

  /** Adds to a product whose inputs are the batch's tokens; other parameters as above. */
  void add(CudaTensor out, Tokens tokens, int product, AttentionBatch batch, int capturedRows) {
    Product adapted = slots.shape().products().get(product);
    requireRows(out.rows(), batch.count());
    requireColumns(out.columns(), adapted.rows());
    requireRows(batch.count(), batch.rows());
    use(batch);
    if (batch.hasAdapters()) {
      int tiles = tiles(capturedRows);
      launch
          .grid(tiles, LOOK_UP_THREADS)
          .pointer(slots.address())
          .integer64(slots.slotBytes())
          .integer(slots.firstEntry(product))
          .integer(rankTiles)
          .pointer(tokens.address)
          .pointer(tokens.sampled)
          .pointer(inputs.countsAddress())
          .pointer(inputs.orderAddress())
          .pointer(inputs.tilesAddress())
          .pointer(sums.address());
      driver.launch(lookUp, launch);
      expand(out.address(), out.stride(), 0, product, tiles);
    }
  }

  /** Works out what is added to a gated product; parameters are those of {@link #add}. */
  Addend addend(
      CudaMatrix gateUp, CudaOperand in, int product, AttentionBatch batch, int capturedRows) {
    Product adapted = slots.shape().products().get(product);
    requireColumns(2 * adapted.partRows().getFirst(), gateUp.rows());
    requireColumns(adapted.rows(), gateUp.rows());
    if (!begin(in, adapted, batch)) {
      return Addend.NONE;
    }
    int tiles = tiles(capturedRows);
    shrink(in, product, tiles);
    expand(addend.address(), gateUp.packedRows(), 1, product, tiles);
    return new Addend(addend.address(), inputs.placesAddress());
  }

  /** Whether there is anything to do. */
  private boolean begin(CudaOperand in, Product adapted, AttentionBatch batch) {
    requireColumns(in.columns(), adapted.columns());
    requireRows(in.rows(), batch.count());
    requireRows(batch.count(), batch.rows());
    use(batch);
    return batch.hasAdapters();
  }

  /** Of this batch, or the most that any batch of the captured rows can have. */
  private int tiles(int capturedRows) {
    return capturedRows > 0 ? inputs.tilesMax(capturedRows) : inputs.tiles();
  }

  private void shrink(CudaOperand in, int product, int tiles) {
    LoraShape shape = slots.shape();
    Product adapted = shape.products().get(product);
    int parts = adapted.partRows().size();
    launch
        .grid(tiles, parts * rankTiles, segments(adapted), SHRINK_THREADS)
        .pointer(in.address())
        .integer(in.paddedRows())
        .integer(in.columns())
        .pointer(slots.address())
        .integer64(slots.slotBytes())
        .integer(slots.firstEntry(product))
        .integer(parts)
        .integer(rankTiles)
        .pointer(inputs.countsAddress())
        .pointer(inputs.orderAddress())
        .pointer(inputs.tilesAddress())
        .pointer(sums.address());
    driver.launch(shrink, launch);
  }

  private void expand(long out, int stride, int gate, int product, int tiles) {
    LoraShape shape = slots.shape();
    Product adapted = shape.products().get(product);
    int parts = adapted.partRows().size();
    int blocks = 0;
    for (int rows : adapted.partRows()) {
      blocks += (rows + EXPAND_OUTPUTS - 1) / EXPAND_OUTPUTS;
    }
    int sharers = tiles * blocks < BLOCKS_ENOUGH ? LoraInputs.TILE_ROWS / EXPAND_ROWS : 1;
    launch
        .grid(tiles, blocks, sharers, EXPAND_THREADS)
        .pointer(out)
        .integer(stride)
        .integer(gate)
        .pointer(slots.address())
        .integer64(slots.slotBytes())
        .integer(slots.firstEntry(product))
        .integer(parts);
    for (int part = 0; part < PARTS_MAX; part++) {
      launch.integer(part < parts ? adapted.partRows().get(part) : 0);
    }
    launch
        .integer(rankTiles)
        .integer(segments(adapted))
        .pointer(inputs.countsAddress())
        .pointer(inputs.orderAddress())
        .pointer(inputs.tilesAddress())
        .pointer(sums.address());
    driver.launch(expand, launch);
  }
}
