package io.verdier.verticles.cluster.pipeline;

import io.verdier.verticles.cluster.WireException;
import io.verdier.verticles.cluster.WireReader;
import io.verdier.verticles.cluster.WireWriter;
import io.verdier.verticles.cluster.pipeline.StageFrame.Alive;
import io.verdier.verticles.cluster.pipeline.StageFrame.Attach;
import io.verdier.verticles.cluster.pipeline.StageFrame.Bye;
import io.verdier.verticles.cluster.pipeline.StageFrame.Failed;
import io.verdier.verticles.cluster.pipeline.StageFrame.Hello;
import io.verdier.verticles.cluster.pipeline.StageFrame.Ready;
import io.verdier.verticles.cluster.pipeline.StageFrame.Refused;
import io.verdier.verticles.cluster.pipeline.StageFrame.Result;
import io.verdier.verticles.cluster.pipeline.StageFrame.Welcome;
import io.verdier.verticles.cluster.pipeline.StageFrame.Work;
import io.verdier.verticles.cluster.socket.Protocol;
import io.verdier.verticles.cluster.socket.SealedSocket;
import io.vertx.core.buffer.Buffer;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * The binary form of {@link StageFrame}s. Stateless.
 *
 * <p>A frame is its kind, an octet, and its fields in the order of the record; {@link SealedSocket}
 * carries {@link #VERSION}, and any change of what is written here is another one.
 */
final class StageCodec {
  static final int VERSION = 1;

  /** 8192 rows of 16384 floats are half of it; {@link StageRoom} sees to it that all steps fit. */
  static final int BYTES_MAX = 1 << 30;

  static final Protocol<StageFrame> PROTOCOL =
      new Protocol<>(
          "pipeline",
          "stages",
          'V' << 24 | 'D' << 16 | 'P' << 8 | 'L',
          VERSION,
          BYTES_MAX,
          StageCodec::write,
          StageCodec::read);

  private static final int HELLO = 1;
  private static final int WELCOME = 2;
  private static final int REFUSED = 3;
  private static final int ATTACH = 4;
  private static final int READY = 5;
  private static final int ALIVE = 6;
  private static final int FAILED = 7;
  private static final int BYE = 8;
  private static final int WORK = 9;
  private static final int RESULT = 10;

  private StageCodec() {}

  static Buffer write(StageFrame frame) {
    WireWriter out = new WireWriter();
    switch (frame) {
      case Hello hello -> {
        out.octet(HELLO).number(hello.node()).number(hello.blocks()).number(hello.port());
        out.list(
            List.copyOf(new TreeMap<>(hello.facts()).entrySet()),
            (each, fact) -> each.text(fact.getKey()).text(fact.getValue()));
      }
      case Welcome welcome ->
          out.octet(WELCOME).number(welcome.blocks()).text(welcome.host()).number(welcome.port());
      case Refused refused -> out.octet(REFUSED).text(refused.reason());
      case Attach attach -> out.octet(ATTACH).number(attach.node());
      case Ready ignored -> out.octet(READY);
      case Alive ignored -> out.octet(ALIVE);
      case Failed failed -> out.octet(FAILED).text(failed.reason());
      case Bye ignored -> out.octet(BYE);
      case Work work -> WorkCodec.write(out.octet(WORK), work.work());
      case Result result -> ResultCodec.write(out.octet(RESULT), result.result());
    }
    return out.buffer();
  }

  /**
   * @throws WireException if it is none
   */
  static StageFrame read(Buffer buffer) {
    WireReader in = new WireReader(buffer, 0, buffer.length());
    StageFrame frame =
        switch (in.octet()) {
          case HELLO -> readHello(in);
          case WELCOME -> new Welcome(in.whole(), in.text(), in.whole());
          case REFUSED -> new Refused(in.text());
          case ATTACH -> new Attach(in.whole());
          case READY -> new Ready();
          case ALIVE -> new Alive();
          case FAILED -> new Failed(in.text());
          case BYE -> new Bye();
          case WORK -> new Work(WorkCodec.read(in));
          case RESULT -> new Result(ResultCodec.read(in));
          default -> throw new WireException("no such frame");
        };
    in.requireEnd();
    return frame;
  }

  private static Hello readHello(WireReader in) {
    int node = in.whole();
    int blocks = in.whole();
    int port = in.whole();
    Map<String, String> facts = new LinkedHashMap<>();
    for (Map.Entry<String, String> fact : in.list(each -> Map.entry(each.text(), each.text()))) {
      facts.put(fact.getKey(), fact.getValue());
    }
    return new Hello(node, facts, blocks, port);
  }
}
