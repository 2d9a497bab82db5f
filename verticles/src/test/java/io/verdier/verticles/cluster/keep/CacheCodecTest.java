package io.verdier.verticles.cluster.keep;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.cache.host.BlockStore.Block;
import io.verdier.cache.kv.BlockHash;
import io.verdier.verticles.cluster.WireException;
import io.vertx.core.buffer.Buffer;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class CacheCodecTest {
  private static final BlockHash NAME = new BlockHash(-1, 2, Long.MIN_VALUE, 4);
  private static final BlockHash OTHER = new BlockHash(5, 6, 7, 8);
  private static final Block BLOCK = new Block(new byte[] {1, -2, 3}, 0x8000_0001);

  private static final List<CacheFrame> FRAMES =
      List.of(
          new CacheFrame.Hello(NAME, 1 << 20),
          new CacheFrame.Welcome(),
          new CacheFrame.Refused("no room"),
          new CacheFrame.Ask(1L << 40, List.of(NAME, OTHER)),
          new CacheFrame.Ask(0, List.of()),
          new CacheFrame.Found(7, new long[] {5, -1}),
          new CacheFrame.Get(8, OTHER),
          new CacheFrame.Given(9, BLOCK),
          new CacheFrame.Missing(10),
          new CacheFrame.Put(11, NAME, BLOCK),
          new CacheFrame.Kept(12, true),
          new CacheFrame.Erase(OTHER),
          new CacheFrame.Forget());

  @Test
  void frames_written_readBackTheSame() {
    assertThat(FRAMES.stream().map(Object::getClass).distinct())
        .as("all kinds")
        .hasSize(CacheFrame.class.getPermittedSubclasses().length);
    for (CacheFrame frame : FRAMES) {
      assertThat(CacheCodec.read(CacheCodec.write(frame)))
          .usingRecursiveComparison()
          .withStrictTypeChecking()
          .isEqualTo(frame);
    }
  }

  @Test
  void frames_truncatedOrTooLong_areRefused() {
    for (CacheFrame frame : FRAMES) {
      byte[] bytes = CacheCodec.write(frame).getBytes();
      for (int length = 0; length < bytes.length; length++) {
        Buffer part = Buffer.buffer(Arrays.copyOf(bytes, length));
        assertThatThrownBy(() -> CacheCodec.read(part))
            .as("%s cut to %d", frame, length)
            .isInstanceOf(WireException.class);
      }
      Buffer more = Buffer.buffer(bytes).appendByte((byte) 0);
      assertThatThrownBy(() -> CacheCodec.read(more)).isInstanceOf(WireException.class);
    }
  }

  @Test
  void frames_damaged_areRefusedOrReadAndNeverFail() {
    SplittableRandom random = new SplittableRandom(1);
    for (int round = 0; round < 500; round++) {
      for (CacheFrame frame : FRAMES) {
        byte[] bytes = CacheCodec.write(frame).getBytes();
        bytes[random.nextInt(bytes.length)] = (byte) random.nextInt();
        try {
          assertThat(CacheCodec.read(Buffer.buffer(bytes))).isNotNull();
        } catch (WireException refused) {
          assertThat(refused).hasMessageNotContaining("verdier");
        }
      }
    }
  }

  @Test
  void names_moreThanMayBeAsked_areRefused() {
    List<BlockHash> most = Collections.nCopies(CacheCodec.NAMES_MAX, NAME);
    CacheFrame.Ask all = new CacheFrame.Ask(1, most);
    assertThat(CacheCodec.read(CacheCodec.write(all))).isEqualTo(all);
    List<BlockHash> more = Collections.nCopies(CacheCodec.NAMES_MAX + 1, NAME);
    Buffer bytes = CacheCodec.write(new CacheFrame.Ask(1, more));
    assertThatThrownBy(() -> CacheCodec.read(bytes)).hasMessageContaining("4097 names");
  }

  @Test
  void kind_unknown_isRefused() {
    for (int kind : new int[] {0, 13, 255}) {
      Buffer bytes = Buffer.buffer().appendByte((byte) kind);
      assertThatThrownBy(() -> CacheCodec.read(bytes)).hasMessageContaining("no such frame");
    }
  }
}
