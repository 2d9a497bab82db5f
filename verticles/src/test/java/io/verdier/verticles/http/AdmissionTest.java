package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.verticles.bus.ServerState;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;

class AdmissionTest {

  @Test
  void permit_extendedAndReleased_eachPlaceBackOnce() {
    Admission admission = new Admission(5, new BodyBudget(1 << 20));
    Admission.Permit first = admission.admit().orElseThrow();
    assertThat(first.extend(4)).isTrue();
    Admission.Permit second = admission.admit().orElseThrow();
    assertThat(admission.admit()).isEmpty();
    assertThat(second.extend(2)).isFalse();
    first.releaseOne();
    assertThat(second.extend(2)).isTrue();
    first.close();
    for (int i = 0; i < 5; i++) {
      first.releaseOne();
    }
    assertThat(admission.taken()).isEqualTo(2);
    second.releaseOne();
    second.releaseOne();
    second.releaseOne();
    assertThat(admission.taken()).isEqualTo(1); // the answer has not left
    second.close();
    assertThat(admission.taken()).isZero();
  }

  @Test
  void requests_whateverPlacesTheyHold_areCountedUntilTheirAnswersHaveLeft() {
    Admission admission = new Admission(5, new BodyBudget(1 << 20));
    Admission.Permit first = admission.admit().orElseThrow();
    Admission.Permit second = admission.admit().orElseThrow();
    assertThat(first.extend(4)).isTrue();
    assertThat(admission.requests()).isEqualTo(2);
    assertThat(admission.admit()).isEmpty();
    first.close();
    first.close();
    assertThat(admission.requests()).isEqualTo(1);
    second.releaseOne();
    assertThat(admission.requests()).isEqualTo(1);
    second.close();
    assertThat(admission.requests()).isZero();
    assertThat(admission.taken()).isEqualTo(4); // its sequences have not ended
  }

  @Test
  void permit_closedBeforeItsSequencesEnd_keepsTheirPlaces() {
    Admission admission = new Admission(3, new BodyBudget(1 << 20));
    Admission.Permit permit = admission.admit().orElseThrow();
    assertThat(permit.extend(3)).isTrue();
    permit.releaseOne();
    permit.close();
    permit.close();
    assertThat(admission.taken()).isEqualTo(2);
    permit.releaseOne();
    permit.releaseOne();
    permit.releaseOne();
    assertThat(admission.taken()).isZero();
  }

  @Test
  void permits_manyThreads_neverPastTheLimitAndEvenAtTheEnd() throws Exception {
    Admission admission = new Admission(17, new BodyBudget(1 << 20));
    AtomicBoolean past = new AtomicBoolean();
    List<Thread> threads = new ArrayList<>();
    for (int t = 0; t < 4; t++) {
      Random random = new Random(t);
      threads.add(
          Thread.ofPlatform()
              .start(
                  () -> {
                    for (int i = 0; i < 20_000; i++) {
                      admission
                          .admit()
                          .ifPresent(
                              permit -> {
                                int places = 1 + random.nextInt(6);
                                boolean extended = permit.extend(places);
                                past.compareAndSet(false, admission.taken() > 17);
                                permit.releaseOne();
                                permit.close();
                                for (int left = places; extended && left > 1; left--) {
                                  permit.releaseOne();
                                }
                              });
                    }
                  }));
    }
    for (Thread thread : threads) {
      thread.join();
    }
    assertThat(past).isFalse();
    assertThat(admission.taken()).isZero();
  }

  @Test
  void state_announcedOutOfOrder_onlyForward() {
    Admission admission = new Admission(1, new BodyBudget(1 << 20));
    admission.onState(new ServerState.Draining());
    admission.onState(new ServerState.Loading());
    assertThat(admission.state()).isEqualTo(new ServerState.Draining());
    admission.onState(new ServerState.Failed("x"));
    admission.onState(new ServerState.Stopping());
    assertThat(admission.state()).isEqualTo(new ServerState.Failed("x"));
  }
}
