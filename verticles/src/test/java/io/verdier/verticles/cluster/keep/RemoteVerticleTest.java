package io.verdier.verticles.cluster.keep;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.cache.kv.BlockHash;
import io.verdier.verticles.bus.CacheNodes.Address;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.function.Function;
import org.junit.jupiter.api.Test;

/** Which of several cache nodes has a prefix. */
class RemoteVerticleTest {

  /** All prefixes of an engine go to one of several, about as many to each. */
  @Test
  void weight_ofSeveral_sharesPrefixesAndMovesOnlyThoseOfOneThatGoes() {
    List<Address> three = List.of(at("10.0.0.1"), at("10.0.0.2"), at("10.0.0.3"));
    List<Address> two = three.subList(0, 2);
    int[] counts = new int[3];
    Random random = new Random(1);
    for (int i = 0; i < 3000; i++) {
      BlockHash first = new BlockHash(random.nextLong(), 0, 0, 0);
      Function<List<Address>, Address> best =
          some ->
              some.stream()
                  .max(Comparator.comparingLong(it -> RemoteVerticle.weight(it, first)))
                  .orElseThrow();
      Address chosen = best.apply(three);
      counts[three.indexOf(chosen)]++;
      if (two.contains(chosen)) {
        assertThat(best.apply(two)).isEqualTo(chosen);
      }
    }
    assertThat(counts[0]).isBetween(800, 1200);
    assertThat(counts[1]).isBetween(800, 1200);
    assertThat(counts[2]).isBetween(800, 1200);
  }

  private static Address at(String host) {
    return new Address(host, 5710);
  }
}
