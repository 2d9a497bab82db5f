package io.verdier.verticles.cluster.pipeline;

import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.model.ModelException;
import io.verdier.verticles.launch.InProcessServer;
import org.junit.jupiter.api.Test;

/** What fits into a message between stages is known before the first one. */
class StageRoomTest {
  private static ServerConfig config(int stages, int tokens, int sequences) {
    return InProcessServer.config(
        "--pipeline-parallel-size=" + stages,
        "--max-num-batched-tokens=" + tokens,
        "--max-num-seqs=" + sequences);
  }

  @Test
  void steps_thatFit_arePassed() {
    assertThatCode(
            () -> {
              StageRoom.require(config(2, 8192, 256), 16384, 131_072);
              StageRoom.require(config(2, 32_000, 256), 16384, 131_072);
              StageRoom.require(config(8, 120_000, 256), 16384, 131_072);
            })
        .doesNotThrowAnyException();
  }

  @Test
  void steps_thatDoNotFit_areRefusedWithTheNumberThatDoes() {
    assertThatThrownBy(() -> StageRoom.require(config(2, 40_000, 256), 16384, 131_072))
        .isInstanceOf(ModelException.class)
        .hasMessage(
            "--max-num-batched-tokens 40000: a step's 20000 rows of 16384 numbers take 1250 MiB;"
                + " messages between stages have room for 1024 MiB. Start every node with"
                + " --max-num-batched-tokens 32510 or less.");
    StageRoom.require(config(2, 32_510, 256), 16384, 131_072);
    assertThatThrownBy(() -> StageRoom.require(config(2, 32_512, 256), 16384, 131_072))
        .isInstanceOf(ModelException.class);
    assertThatThrownBy(() -> StageRoom.require(config(2, 8192, 8192), 4096, 1 << 20))
        .isInstanceOf(ModelException.class)
        .hasMessageStartingWith("--max-num-seqs 8192: ")
        .hasMessageContaining("2048 MiB");
  }
}
