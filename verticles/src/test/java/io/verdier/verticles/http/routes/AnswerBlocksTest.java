package io.verdier.verticles.http.routes;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import io.verdier.engine.text.TextParams;
import io.verdier.engine.text.toolcall.Tools;
import io.verdier.verticles.observe.ServingMetrics;
import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class AnswerBlocksTest {
  private static final int PIECES = 20_000;

  /** Memory stands for time here, which is not the same on any two runs. */
  @Test
  void whiteSpace_inPieces_costsNoMoreThanItsLength() {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    AnswerBlocks blocks = new AnswerBlocks(parsing(), "", "call_", AnswerBlocks.Listener.NOBODY);
    long before = threads.getCurrentThreadAllocatedBytes();
    for (int piece = 0; piece < PIECES; piece++) {
      blocks.content(" ");
    }
    assertThat(threads.getCurrentThreadAllocatedBytes() - before)
        .isLessThan(PIECES * 100L); // looking at all of it for each piece would be 200 MB
    assertThat(blocks.blocks()).isEmpty();
    blocks.content("\nword");
    blocks.finish();
    assertThat(blocks.blocks()).hasSize(1);
    assertThat(blocks.blocks().getFirst().text.toString()).isEqualTo(" ".repeat(PIECES) + "\nword");
  }

  private static ChatParsing parsing() {
    return new ChatParsing(
        Optional.empty(),
        Tools.of(List.of()),
        true,
        false,
        true,
        Optional.empty(),
        TextParams.UNBOUNDED,
        true,
        new ServingMetrics("demo", 1).toolReads("chat_completions", false));
  }
}
