package io.verdier.verticles.cluster.pipeline;

import io.verdier.engine.run.pipeline.StageWork;
import io.verdier.engine.run.pipeline.StageWork.Choose;
import io.verdier.engine.run.pipeline.StageWork.Confirm;
import io.verdier.engine.run.pipeline.StageWork.Mask;
import io.verdier.engine.run.pipeline.StageWork.Pool;
import io.verdier.engine.run.pipeline.StageWork.Rows;
import io.verdier.engine.run.pipeline.StageWork.Slice;
import io.verdier.engine.run.pipeline.StageWork.Start;
import io.verdier.engine.run.pipeline.StageWork.Vacate;
import io.verdier.engine.run.pipeline.StageWork.Wanted;
import io.verdier.verticles.cluster.SamplingCodec;
import io.verdier.verticles.cluster.WireException;
import io.verdier.verticles.cluster.WireReader;
import io.verdier.verticles.cluster.WireWriter;

/**
 * {@link StageWork} on the wire. Stateless. Hidden states are float32 as they are, bit by bit: what
 * the next stage gets is what a stage in the same process would.
 */
final class WorkCodec {
  private static final int ROWS = 1;
  private static final int CHOOSE = 2;
  private static final int POOL = 3;
  private static final int VACATE = 4;
  private static final int CONFIRM = 5;

  private WorkCodec() {}

  static void write(WireWriter out, StageWork work) {
    switch (work) {
      case Rows rows -> {
        out.octet(ROWS).number(rows.first()).list(rows.slices(), WorkCodec::writeSlice);
        out.reals(rows.values());
      }
      case Choose choose ->
          out.octet(CHOOSE).longs(choose.forgotten()).list(choose.wanted(), WorkCodec::writeWanted);
      case Pool pool -> out.octet(POOL).ints(pool.rows());
      case Vacate ignored -> out.octet(VACATE);
      case Confirm ignored -> out.octet(CONFIRM);
    }
  }

  /**
   * @throws WireException if it is none
   */
  static StageWork read(WireReader in) {
    return switch (in.octet()) {
      case ROWS -> new Rows(in.whole(), in.list(WorkCodec::readSlice), in.reals());
      case CHOOSE -> new Choose(in.longs(), in.list(WorkCodec::readWanted));
      case POOL -> new Pool(in.ints());
      case VACATE -> new Vacate();
      case CONFIRM -> new Confirm();
      default -> throw new WireException("no such work");
    };
  }

  private static void writeSlice(WireWriter out, Slice slice) {
    out.number(slice.position()).number(slice.count()).ints(slice.table());
  }

  private static Slice readSlice(WireReader in) {
    return new Slice(in.whole(), in.whole(), in.ints());
  }

  private static void writeWanted(WireWriter out, Wanted wanted) {
    out.number(wanted.row()).number(wanted.position()).fixed(wanted.id());
    Start start = wanted.start();
    out.flag(start != null);
    if (start != null) {
      out.ints(start.tokens()).number(start.promptTokens());
      SamplingCodec.write(out, start.params());
    }
    out.number(wanted.given()).number(wanted.known()).ints(wanted.added());
    Mask mask = wanted.mask();
    out.flag(mask != null);
    if (mask != null) {
      out.longs(mask.tokens()).flag(mask.mayEnd()).flag(mask.mustEnd());
    }
  }

  private static Wanted readWanted(WireReader in) {
    return new Wanted(
        in.whole(),
        in.whole(),
        in.fixed(),
        in.flag() ? readStart(in) : null,
        in.whole(),
        in.whole(),
        in.ints(),
        in.flag() ? new Mask(in.longs(), in.flag(), in.flag()) : null);
  }

  private static Start readStart(WireReader in) {
    int[] tokens = in.ints();
    int promptTokens = in.whole();
    if (promptTokens < 0 || promptTokens > tokens.length) {
      throw new WireException(promptTokens + " prompt tokens of " + tokens.length);
    }
    return new Start(tokens, promptTokens, SamplingCodec.read(in));
  }
}
