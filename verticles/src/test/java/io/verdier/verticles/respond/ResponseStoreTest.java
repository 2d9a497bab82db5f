package io.verdier.verticles.respond;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.verticles.bus.BackgroundResponse.Page;
import io.verdier.verticles.bus.StoredResponse;
import io.verdier.verticles.bus.StoredResponse.Stage;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ResponseStoreTest {
  private static StoredResponse response(String id, int jsonBytes) {
    return new StoredResponse(
        id, Stage.ENDED, new byte[jsonBytes], List.of(Map.of("role", "user", "content", "Hi")));
  }

  @Test
  void put_pastTheCount_oldestGoes() {
    ResponseStore store = new ResponseStore(2, 1 << 20, 100);
    store.put(response("a", 1), 0);
    store.put(response("b", 1), 1);
    store.put(response("c", 1), 2);
    assertThat(store.size()).isEqualTo(2);
    assertThat(store.get("a", 3)).isEmpty();
    assertThat(store.get("b", 3)).isPresent();
    assertThat(store.get("c", 3)).isPresent();
  }

  @Test
  void put_pastTheBytes_oldestGoAndTheTooLargeNeverComes() {
    ResponseStore store = new ResponseStore(100, 10_000, 100);
    store.put(response("a", 4000), 0);
    store.put(response("b", 4000), 0);
    store.put(response("huge", 10_000), 0);
    assertThat(store.size()).isEqualTo(2);
    store.put(response("c", 8000), 0);
    assertThat(store.size()).isEqualTo(1);
    assertThat(store.get("c", 1)).isPresent();
  }

  @Test
  void put_longConversation_countsItsTexts() {
    ResponseStore store = new ResponseStore(100, 10_000, 100);
    Map<String, Object> message = Map.of("role", "user", "content", "x".repeat(6000));
    store.put(new StoredResponse("a", Stage.ENDED, new byte[1], List.of(Map.copyOf(message))), 0);
    assertThat(store.size()).isZero();
  }

  @Test
  void get_pastTheAge_isGone() {
    ResponseStore store = new ResponseStore(100, 10_000, 100);
    store.put(response("a", 1), Long.MAX_VALUE - 50); // clocks of nanoseconds may wrap
    assertThat(store.get("a", Long.MAX_VALUE + 49)).isPresent();
    assertThat(store.get("a", Long.MAX_VALUE + 50)).isEmpty();
    assertThat(store.size()).isZero();
  }

  private static byte[] event(int number) {
    return ("event: x\ndata: {\"sequence_number\":" + number + "}\n\n").getBytes(US_ASCII);
  }

  private static String text(Page page) {
    return new String(page.events(), US_ASCII);
  }

  @Test
  void background_underWay_neitherAgesNorMakesWay() {
    ResponseStore store = new ResponseStore(2, 1 << 20, 100);
    store.begin("a", new byte[1], false, 0);
    store.put(response("b", 1), 1);
    store.put(response("c", 1), 1000);
    assertThat(store.get("a", 1000)).isPresent();
    assertThat(store.get("b", 1000)).isEmpty();
    store.put(response("a", 2), 1000);
    assertThat(store.get("a", 1099)).isPresent();
    assertThat(store.get("a", 1100)).as("it ages from its end on").isEmpty();
  }

  @Test
  void background_fillingTheStore_noOtherBegins() {
    ResponseStore store = new ResponseStore(2, 1 << 20, 100);
    store.put(response("old", 1), 0);
    store.begin("a", new byte[1], false, 0);
    store.begin("b", new byte[1], false, 0);
    assertThatThrownBy(() -> store.begin("c", new byte[1], false, 0))
        .isInstanceOfSatisfying(
            RejectedException.class,
            refused -> assertThat(refused.code()).isEqualTo(ErrorCode.OVERLOADED));
    assertThat(store.size()).isEqualTo(2);
    store.drop("a");
    store.begin("c", new byte[1], false, 0);
    assertThat(store.get("old", 0)).isEmpty();
  }

  @Test
  void events_pagedFromAnyNumber_areThoseBehindIt() {
    ResponseStore store = new ResponseStore(2, 1 << 20, 100);
    store.begin("a", new byte[1], true, 0);
    assertThat(store.events("a", -1)).isEmpty();
    StringBuilder all = new StringBuilder();
    for (int i = 0; i < 100; i += 2) { // which makes arrays grow
      String two = new String(event(i), US_ASCII) + new String(event(i + 1), US_ASCII);
      store.advance("a", null, two.getBytes(US_ASCII), 0);
      all.append(two);
    }
    Page first = store.events("a", -1).orElseThrow();
    assertThat(text(first)).isEqualTo(all.toString());
    assertThat(first.last()).isEqualTo(99);
    assertThat(first.isEnd()).isFalse();
    assertThat(text(store.events("a", 97).orElseThrow()))
        .isEqualTo(new String(event(98), US_ASCII) + new String(event(99), US_ASCII));
    assertThat(store.events("a", 99)).isEmpty();
    store.put(response("a", 1), 0);
    assertThat(store.events("a", 99).orElseThrow().isEnd()).isTrue();
    assertThat(store.events("a", 1000).orElseThrow().events()).isEmpty();
    assertThat(store.events("a", 0).orElseThrow().isEnd()).isTrue();
  }

  @Test
  void events_longerThanAPage_comeInSeveral() {
    ResponseStore store = new ResponseStore(2, 1 << 20, 100);
    store.begin("a", new byte[1], true, 0);
    byte[] large = ("data: " + "x".repeat(40_000) + "\n\n").getBytes(US_ASCII);
    for (int i = 0; i < 3; i++) {
      store.advance("a", null, large, 0);
    }
    store.put(response("a", 1), 0);
    Page page = store.events("a", -1).orElseThrow();
    assertThat(page.last()).isZero();
    assertThat(page.isEnd()).isFalse();
    assertThat(store.events("a", 1).orElseThrow().isEnd()).isTrue();
  }

  @Test
  void events_moreThanTheBytes_othersMakeWayThenTheyAreGivenUp() {
    ResponseStore store = new ResponseStore(100, 16_000, 100);
    store.put(response("old", 5000), 0);
    store.begin("a", new byte[1], true, 0);
    byte[] large = ("data: " + "x".repeat(6000) + "\n\n").getBytes(US_ASCII);
    store.advance("a", null, large, 0);
    assertThat(store.get("old", 0)).isPresent();
    store.advance("a", null, large, 0);
    assertThat(store.get("old", 0)).isEmpty();
    assertThat(store.events("a", -1)).isPresent();
    store.advance("a", null, large, 0);
    store.advance("a", null, large, 0);
    assertThatThrownBy(() -> store.events("a", -1))
        .hasMessageContaining("--max-stored-response-bytes");
    store.put(response("a", 1), 0);
    assertThatThrownBy(() -> store.events("a", -1))
        .hasMessageContaining("--max-stored-response-bytes");
    assertThat(store.get("a", 0)).isPresent();
  }

  @Test
  void events_notKept_areRefused() {
    ResponseStore store = new ResponseStore(100, 20_000, 100);
    store.begin("a", new byte[1], false, 0);
    store.advance("a", new byte[2], event(0), 0);
    assertThat(store.get("a", 0).orElseThrow().json()).hasSize(2);
    assertThatThrownBy(() -> store.events("a", -1)).hasMessageContaining("background and stream");
  }

  private record Waiting(Runnable news, Runnable left) implements ResponseStore.Waiter {
    @Override
    public void onNews() {
      news.run();
    }

    @Override
    public void onLeft() {
      left.run();
    }
  }

  /** A client that goes, and comes, and goes, must not be waited for so many times. */
  @Test
  void await_left_isNotWokenAndItsPlaceIsFree() {
    ResponseStore store = new ResponseStore(100, 20_000, 100);
    List<String> heard = new ArrayList<>();
    store.begin("a", new byte[1], true, 0);
    for (int i = 0; i < ResponseStore.WAITERS_MAX; i++) {
      String name = "waiter " + i;
      store.await("a", name, new Waiting(() -> heard.add(name), () -> heard.add("left")));
    }
    Waiting late = new Waiting(() -> heard.add("late"), () -> heard.add("left"));
    assertThatThrownBy(() -> store.await("a", "late", late))
        .isInstanceOf(RejectedException.class)
        .hasMessageContaining("256");
    store.leave("a", "waiter 7");
    store.leave("a", "waiter 7");
    store.leave("b", "waiter 7");
    assertThat(heard).containsExactly("left");
    store.await("a", "late", late);
    store.drop("a");
    assertThat(heard).hasSize(1 + ResponseStore.WAITERS_MAX).contains("late");
    assertThat(heard).doesNotContain("waiter 7");
  }

  @Test
  void await_newsEndAndDrop_wakeOnce() {
    ResponseStore store = new ResponseStore(100, 20_000, 100);
    List<String> woken = new ArrayList<>();
    store.begin("a", new byte[1], true, 0);
    store.begin("b", new byte[1], true, 0);
    Waiting last = new Waiting(() -> woken.add("a"), () -> woken.add("left"));
    store.await("a", "1", new Waiting(() -> store.await("a", "1", last), () -> woken.add("left")));
    store.await("b", "1", new Waiting(() -> woken.add("b"), () -> woken.add("left")));
    store.advance("a", null, event(0), 0);
    assertThat(woken).isEmpty();
    store.put(response("a", 1), 0);
    store.drop("b");
    assertThat(woken).containsExactly("a", "b");
    assertThat(store.isBackground("a")).isTrue();
    store.put(response("c", 1), 0);
    assertThat(store.isBackground("c")).isFalse();
  }
}
