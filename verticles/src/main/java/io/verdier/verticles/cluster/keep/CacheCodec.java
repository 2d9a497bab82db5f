package io.verdier.verticles.cluster.keep;

import io.verdier.cache.host.BlockStore.Block;
import io.verdier.cache.host.RemoteBooks;
import io.verdier.cache.kv.BlockHash;
import io.verdier.engine.backend.RemoteTier;
import io.verdier.verticles.cluster.WireException;
import io.verdier.verticles.cluster.WireReader;
import io.verdier.verticles.cluster.WireWriter;
import io.verdier.verticles.cluster.keep.CacheFrame.Ask;
import io.verdier.verticles.cluster.keep.CacheFrame.Erase;
import io.verdier.verticles.cluster.keep.CacheFrame.Forget;
import io.verdier.verticles.cluster.keep.CacheFrame.Found;
import io.verdier.verticles.cluster.keep.CacheFrame.Get;
import io.verdier.verticles.cluster.keep.CacheFrame.Given;
import io.verdier.verticles.cluster.keep.CacheFrame.Hello;
import io.verdier.verticles.cluster.keep.CacheFrame.Kept;
import io.verdier.verticles.cluster.keep.CacheFrame.Missing;
import io.verdier.verticles.cluster.keep.CacheFrame.Put;
import io.verdier.verticles.cluster.keep.CacheFrame.Refused;
import io.verdier.verticles.cluster.keep.CacheFrame.Welcome;
import io.verdier.verticles.cluster.socket.Protocol;
import io.vertx.core.buffer.Buffer;
import java.util.List;

/**
 * The binary form of {@link CacheFrame}s. Stateless.
 *
 * <p>A frame is its kind, an octet, and its fields in the order of the record. Any change of what
 * is written here is another {@link #VERSION}.
 */
final class CacheCodec {
  static final int VERSION = 1;

  /** Names of blocks in a frame. */
  static final int NAMES_MAX = RemoteBooks.NAMES_MAX;

  /** A block, and what is said of it. */
  private static final int BYTES_MAX = RemoteTier.BLOCK_BYTES_MAX + 1024;

  static final Protocol<CacheFrame> PROTOCOL =
      new Protocol<>(
          "cache",
          "engines and cache nodes",
          'V' << 24 | 'D' << 16 | 'K' << 8 | 'V',
          VERSION,
          BYTES_MAX,
          CacheCodec::write,
          CacheCodec::read);

  private static final int HELLO = 1;
  private static final int WELCOME = 2;
  private static final int REFUSED = 3;
  private static final int ASK = 4;
  private static final int FOUND = 5;
  private static final int GET = 6;
  private static final int GIVEN = 7;
  private static final int MISSING = 8;
  private static final int PUT = 9;
  private static final int KEPT = 10;
  private static final int ERASE = 11;
  private static final int FORGET = 12;

  private CacheCodec() {}

  static Buffer write(CacheFrame frame) {
    WireWriter out = new WireWriter();
    switch (frame) {
      case Hello hello -> name(out.octet(HELLO), hello.identity()).number(hello.blockBytes());
      case Welcome ignored -> out.octet(WELCOME);
      case Refused refused -> out.octet(REFUSED).text(refused.reason());
      case Ask ask -> out.octet(ASK).number(ask.id()).list(ask.names(), CacheCodec::name);
      case Found found -> out.octet(FOUND).number(found.id()).longs(found.there());
      case Get get -> name(out.octet(GET).number(get.id()), get.name());
      case Given given -> block(out.octet(GIVEN).number(given.id()), given.block());
      case Missing missing -> out.octet(MISSING).number(missing.id());
      case Put put -> block(name(out.octet(PUT).number(put.id()), put.name()), put.block());
      case Kept kept -> out.octet(KEPT).number(kept.id()).flag(kept.isKept());
      case Erase erase -> name(out.octet(ERASE), erase.name());
      case Forget ignored -> out.octet(FORGET);
    }
    return out.buffer();
  }

  private static WireWriter name(WireWriter out, BlockHash name) {
    return out.fixed(name.a()).fixed(name.b()).fixed(name.c()).fixed(name.d());
  }

  private static void block(WireWriter out, Block block) {
    out.number(block.sum()).bytes(block.contents());
  }

  /**
   * @throws WireException if it is none
   */
  static CacheFrame read(Buffer buffer) {
    WireReader in = new WireReader(buffer, 0, buffer.length());
    CacheFrame frame =
        switch (in.octet()) {
          case HELLO -> new Hello(readName(in), in.whole());
          case WELCOME -> new Welcome();
          case REFUSED -> new Refused(in.text());
          case ASK -> new Ask(in.number(), readNames(in));
          case FOUND -> new Found(in.number(), in.longs());
          case GET -> new Get(in.number(), readName(in));
          case GIVEN -> new Given(in.number(), readBlock(in));
          case MISSING -> new Missing(in.number());
          case PUT -> new Put(in.number(), readName(in), readBlock(in));
          case KEPT -> new Kept(in.number(), in.flag());
          case ERASE -> new Erase(readName(in));
          case FORGET -> new Forget();
          default -> throw new WireException("no such frame");
        };
    in.requireEnd();
    return frame;
  }

  private static List<BlockHash> readNames(WireReader in) {
    List<BlockHash> names = in.list(CacheCodec::readName);
    if (names.size() > NAMES_MAX) {
      throw new WireException(names.size() + " names");
    }
    return names;
  }

  private static BlockHash readName(WireReader in) {
    return new BlockHash(in.fixed(), in.fixed(), in.fixed(), in.fixed());
  }

  private static Block readBlock(WireReader in) {
    int sum = in.whole();
    return new Block(in.bytes(), sum);
  }
}
