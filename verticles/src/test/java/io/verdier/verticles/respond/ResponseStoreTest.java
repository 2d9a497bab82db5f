package io.verdier.verticles.respond;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.verticles.bus.StoredResponse;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ResponseStoreTest {
  private static StoredResponse response(String id, int jsonBytes) {
    return new StoredResponse(
        id, new byte[jsonBytes], List.of(Map.of("role", "user", "content", "Hi")));
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
    store.put(new StoredResponse("a", new byte[1], List.of(Map.copyOf(message))), 0);
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
}
