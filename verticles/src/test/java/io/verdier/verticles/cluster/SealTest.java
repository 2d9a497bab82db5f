package io.verdier.verticles.cluster;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.verticles.bus.Delta;
import io.vertx.core.buffer.Buffer;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Costs some milliseconds. */
class SealTest {
  private static final byte[] KEY = Seal.key("a secret of some length");
  private static final Frame FRAME = new Frame.Drain(true);
  private static final long NOW = 1_700_000_000_000L;

  private final Seal sender = new Seal(KEY, "a", 1);
  private final Seal receiver = new Seal(KEY, "b", 2);

  @Test
  void frames_inOrder_areOpened() {
    for (int i = 0; i < 3; i++) {
      Seal.Opened opened = receiver.open(sender.close("b", FRAME, NOW), NOW);
      assertThat(opened).isEqualTo(new Seal.Opened("a", Seal.Order.NEXT, FRAME));
    }
  }

  @Test
  void frame_lost_isNoticedWithTheNext() {
    receiver.open(sender.close("b", FRAME, NOW), NOW);
    sender.close("b", FRAME, NOW);
    assertThat(receiver.open(sender.close("b", FRAME, NOW), NOW).order()).isEqualTo(Seal.Order.GAP);
  }

  /** Else the receiver would refuse it, miss its number and begin anew with everything. */
  @Test
  void frame_tooLarge_isNotClosedAndNothingIsMissed() {
    receiver.open(sender.close("b", FRAME, NOW), NOW);
    float[] much = new float[Seal.FRAME_BYTES_MAX / Float.BYTES];
    Delta delta = new Delta(1, null, "", new int[0], List.of(), List.of(), much, -1, null);
    Frame frame = new Frame.News(List.of(new Frame.Item(1, 0, delta)));
    assertThatThrownBy(() -> sender.close("b", frame, NOW)).isInstanceOf(WireException.class);
    assertThat(receiver.open(sender.close("b", FRAME, NOW), NOW).order())
        .isEqualTo(Seal.Order.NEXT);
  }

  @Test
  void frame_repeated_isRefused() {
    Buffer bytes = sender.close("b", FRAME, NOW);
    receiver.open(bytes, NOW);
    assertRefused(bytes, NOW, "repeated");
  }

  @Test
  void frame_forAnother_isRefused() {
    assertRefused(sender.close("c", FRAME, NOW), NOW, "signed");
  }

  @Test
  void frame_ofAnotherSecret_isRefused() {
    Seal rogue = new Seal(Seal.key("a guess of some length!"), "a", 1);
    assertRefused(rogue.close("b", FRAME, NOW), NOW, "signed");
  }

  @Test
  void frame_changedAnywhere_isRefused() {
    byte[] bytes = sender.close("b", FRAME, NOW).getBytes();
    for (int i = 0; i < bytes.length; i++) {
      byte[] forged = bytes.clone();
      forged[i] ^= 1;
      assertThatThrownBy(() -> receiver.open(Buffer.buffer(forged), NOW))
          .isInstanceOf(WireException.class);
    }
  }

  @Test
  void frame_ofAnotherVersion_isRefused() {
    byte[] bytes = sender.close("b", FRAME, NOW).getBytes();
    bytes[2]++;
    assertRefused(Buffer.buffer(bytes), NOW, "version " + bytes[2]);
  }

  @Test
  void frame_old_isRefusedFromAStranger() {
    Buffer bytes = sender.close("b", FRAME, NOW);
    assertRefused(bytes, NOW + Seal.FRESH_MILLIS + 1, "old");
  }

  @Test
  void frame_ofASecondNodeOfThatName_isRefused() {
    receiver.open(sender.close("b", FRAME, NOW), NOW);
    assertRefused(new Seal(KEY, "a", 9).close("b", FRAME, NOW), NOW, "second");
  }

  @Test
  void bytes_ofNoFrame_areRefused() {
    assertRefused(Buffer.buffer(), NOW, "0 bytes");
    assertRefused(
        Buffer.buffer("GET / HTTP/1.1\r\nHost: x\r\n\r\n, and some more"), NOW, "no frame");
  }

  private void assertRefused(Buffer bytes, long nowMillis, String why) {
    assertThatThrownBy(() -> receiver.open(bytes, nowMillis))
        .isInstanceOf(WireException.class)
        .hasMessageContaining(why);
  }
}
