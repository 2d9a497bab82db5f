package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.Backend.KvShape;
import io.verdier.engine.backend.HostBlocks;
import io.verdier.engine.backend.HostCopy;
import io.verdier.engine.backend.KvStorage;
import java.util.ArrayList;
import java.util.List;

/**
 * Blocks in device memory, bfloat16 or e4m3, in the order in which tensor cores take them. Owned by
 * the executor thread.
 *
 * <pre>
 *   layer   block   head     K [tokens/8][dims/32][lane][8]   V [tokens/16][dims/16][lane][8]
 * </pre>
 *
 * A lane's eight numbers are its registers of two multiplications (attention.cu draws them), so
 * that a warp reads 512 bytes at once, or 256, and nothing is transposed. Head dimensions are
 * rounded up to 32.
 */
final class CudaKvStorage implements KvStorage {
  private static final int TOKENS_ALIGNED = 16;
  private static final int DIMS_ALIGNED = 32;
  private static final int DIMS_MAX = 256;

  private final CudaDriver driver;
  private final KvShape shape;
  private final CacheFormat format;
  private final long address;
  private final List<CudaHostBlocks> hostBlocks = new ArrayList<>();
  private boolean closed;

  /**
   * @throws IllegalArgumentException if the kernels cannot work with blocks of this size
   */
  CudaKvStorage(CudaDriver driver, KvShape shape, CacheFormat format) {
    if (shape.blockTokens() % TOKENS_ALIGNED != 0) {
      throw new IllegalArgumentException(
          shape.blockTokens()
              + " tokens a block; it must be a multiple of "
              + TOKENS_ALIGNED
              + ".");
    }
    this.driver = driver;
    this.shape = shape;
    this.format = format;
    address = driver.allocate(layerBytes() * shape.layers());
  }

  @Override
  public KvShape shape() {
    return shape;
  }

  CacheFormat format() {
    return format;
  }

  /** Head dimensions with padding. */
  int paddedHeadDim() {
    return paddedHeadDim(shape.headDim());
  }

  /** The kernels' next larger size. */
  static int paddedHeadDim(int headDim) {
    int padded = (headDim + DIMS_ALIGNED - 1) / DIMS_ALIGNED * DIMS_ALIGNED;
    if (padded > DIMS_MAX) {
      throw new IllegalArgumentException(
          "heads of " + headDim + " dimensions; at most " + DIMS_MAX + " are possible.");
    }
    return padded > DIMS_MAX / 2 ? DIMS_MAX : padded;
  }

  /** Keys and values of a block in one layer. */
  private long pieceBytes() {
    return 2L * shape.heads() * shape.blockTokens() * paddedHeadDim() * format.bytes();
  }

  private long layerBytes() {
    return pieceBytes() * shape.blocks();
  }

  @Override
  public long blockBytes() {
    return pieceBytes() * shape.layers();
  }

  @Override
  public CudaHostBlocks hostBlocks(int slots) {
    CudaHostBlocks blocks = new CudaHostBlocks(driver, this, slots);
    hostBlocks.add(blocks);
    return blocks;
  }

  @Override
  public HostCopy copyOut(HostBlocks to, List<HostBlocks.Pair> pairs) {
    return own(to).copyOut(pairs);
  }

  @Override
  public HostCopy copyIn(HostBlocks from, List<HostBlocks.Pair> pairs) {
    return own(from).copyIn(pairs);
  }

  private CudaHostBlocks own(HostBlocks blocks) {
    CudaHostBlocks host = (CudaHostBlocks) blocks;
    if (host.storage() != this) {
      throw new IllegalStateException("host blocks of another storage");
    }
    return host;
  }

  /** Where a block begins in the first layer. */
  long block(int index) {
    return address + index * pieceBytes();
  }

  /** A block's part of each layer. */
  CopyQueue.Pieces pieces() {
    return new CopyQueue.Pieces(shape.layers(), pieceBytes(), layerBytes());
  }

  /** Where a layer's blocks begin. */
  long layer(int index) {
    return address + index * layerBytes();
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      hostBlocks.forEach(CudaHostBlocks::close); // first: copies read the cache
      driver.free(address);
    }
  }
}
