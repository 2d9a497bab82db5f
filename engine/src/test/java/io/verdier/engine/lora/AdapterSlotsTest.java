package io.verdier.engine.lora;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.HostCopy;
import io.verdier.engine.backend.LoraFactors;
import io.verdier.engine.backend.LoraImage;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.backend.LoraShape.Product;
import io.verdier.engine.backend.LoraSlots;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Which slot whose adapter has, and when its room comes back, over slots that only take notes. */
class AdapterSlotsTest {
  private final List<String> notes = new ArrayList<>();
  private final AdapterSlots slots = new AdapterSlots(new Noted());
  private int images;

  /** Owned by the test. Writes down what is asked of it. */
  private final class Noted implements LoraSlots {
    @Override
    public LoraShape shape() {
      return new LoraShape(2, 8, List.of(new Product(4, List.of(4))));
    }

    @Override
    public long slotBytes() {
      return 100;
    }

    @Override
    public LoraImage image() {
      return new Image(images++, notes);
    }

    @Override
    public boolean adapts(int slot, int product) {
      return true;
    }

    @Override
    public HostCopy load(int slot, LoraImage image) {
      notes.add("load " + slot + " from " + ((Image) image).room);
      return new HostCopy() {
        @Override
        public boolean isDone() {
          return false;
        }

        @Override
        public void await() {
          notes.add("await " + slot);
        }

        @Override
        public void holdSteps() {
          notes.add("hold");
        }
      };
    }
  }

  private record Image(int room, List<String> notes) implements LoraImage {
    @Override
    public void fill(List<LoraFactors> factors) {}

    @Override
    public long bytes() {
      return 0;
    }

    @Override
    public void close() {
      notes.add("free " + room);
    }
  }

  private List<String> taken() {
    List<String> taken = List.copyOf(notes);
    notes.clear();
    return taken;
  }

  @Test
  void enter_lentAdapter_isLoadedOnceUntilItsSlotIsTaken() {
    slots.reserve(3);
    slots.lend("a", 2);
    slots.lend("b", 0);
    slots.lend("c", 1);
    assertThat(slots.enter("")).isEqualTo(AttentionBatch.NO_ADAPTER);
    assertThat(slots.enter("x")).isEqualTo(AdapterSlots.UNKNOWN);
    assertThat(List.of(slots.enter("a"), slots.enter("b"), slots.enter("a")))
        .containsExactly(0, 1, 0);
    assertThat(taken()).containsExactly("load 0 from 2", "hold", "load 1 from 0", "hold");
    assertThatThrownBy(() -> slots.enter("c")).isInstanceOf(IllegalStateException.class);
    slots.leave(0);
    slots.leave(1);
    assertThat(slots.enter("c")).isEqualTo(1);
    assertThat(taken()).containsExactly("await 1", "load 1 from 1", "hold");
    assertThat(slots.loads()).isEqualTo(3);
  }

  @Test
  void recall_ofWhatNobodyHas_isAnsweredAtOnceAndBehindItsCopy() {
    slots.reserve(2);
    slots.lend("a", 0);
    slots.recall("a", () -> notes.add("a is back")); // was in no slot
    slots.lend("b", 1);
    slots.leave(slots.enter("b"));
    slots.recall("b", () -> notes.add("b is back"));

    assertThat(taken())
        .containsExactly("a is back", "load 0 from 1", "hold", "await 0", "b is back");
    assertThat(slots.enter("b")).isEqualTo(AdapterSlots.UNKNOWN);
  }

  @Test
  void recall_ofWhatASequenceHas_isAnsweredWhenItIsForgotten() {
    slots.reserve(2);
    slots.lend("a", 0);
    int slot = slots.enter("a");
    slots.enter("a");
    slots.recall("a", () -> notes.add("a is back"));
    slots.lend("a", 1); // brought once more meanwhile
    assertThat(slots.enter("a")).as("not the slot whose room goes").isEqualTo(1);
    slots.leave(slot);
    assertThat(taken()).doesNotContain("a is back");
    slots.leave(slot);
    assertThat(taken()).containsExactly("await 0", "a is back");
    slots.leave(1);
    assertThat(taken()).isEmpty(); // once is enough
  }

  @Test
  void close_waitsForCopiesBeforeRoomsGo() {
    slots.reserve(2);
    slots.lend("a", 0);
    slots.lend("b", 1);
    slots.enter("a");
    slots.enter("b");
    notes.clear();

    slots.close();

    assertThat(taken()).containsExactly("await 0", "await 1", "free 0", "free 1");
  }

  @Test
  void lend_twice_isABug() {
    slots.reserve(2);
    slots.lend("a", 0);
    assertThatThrownBy(() -> slots.lend("a", 1)).isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(() -> slots.recall("b", () -> {})).isInstanceOf(IllegalStateException.class);
  }
}
