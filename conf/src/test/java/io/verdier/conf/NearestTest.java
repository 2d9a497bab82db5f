package io.verdier.conf;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

class NearestTest {

  @Test
  void distance_knownPairs_areCounted() {
    assertThat(Nearest.distance("port", "port")).isZero();
    assertThat(Nearest.distance("port", "prot")).isEqualTo(1);
    assertThat(Nearest.distance("", "abc")).isEqualTo(3);
    assertThat(Nearest.distance("kitten", "sitting")).isEqualTo(3);
  }

  @Test
  void to_slipsAndStrangers_onlySlipsAreFound() {
    List<String> names = List.of("--port", "--host", "--max-num-seqs");
    assertThat(Nearest.to("--prot", names)).contains("--port");
    assertThat(Nearest.to("--max-seqs", names)).isEmpty();
    assertThat(Nearest.to("--max-num-sqs", names)).contains("--max-num-seqs");
    assertThat(Nearest.to("--max-num", names)).contains("--max-num-seqs");
    assertThat(Nearest.to("--xyz", names)).isEmpty();
  }
}
