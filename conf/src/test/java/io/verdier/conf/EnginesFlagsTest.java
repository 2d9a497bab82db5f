package io.verdier.conf;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** How many engines a process has: vLLM's flag, and the command lines of Google's images. */
class EnginesFlagsTest {

  @ParameterizedTest
  @CsvSource({
    "'', 1",
    "--data-parallel-size=0, 1",
    "--data-parallel-size=3, 3",
    "-dp 2, 2",
    "--num_instances=4, 4",
    "--num-instances=4 --data-parallel-size=2, 8",
    "--data-parallel-size=2 --tensor-parallel-size=2 --total-gpus=4, 2",
  })
  void engines_asAsked(String flags, int engines) {
    String[] argv = flags.isEmpty() ? new String[0] : flags.split(" ");
    assertThat(Loading.config(argv).backend().engines()).isEqualTo(engines);
  }

  @Test
  void nginxServer_ofANotebook_hasAnEngineForEachInstance() {
    LoadResult.Loaded loaded =
        Loading.loaded(
            Map.of(),
            List.of(
                "python",
                "-m",
                "vllm.entrypoints.nginx_server",
                "--model=gs://b/a",
                "--tensor-parallel-size=2",
                "--pipeline-parallel-size=1",
                "--data-parallel-size=1",
                "--num_instances=4",
                "--total_gpus=8"));

    assertThat(loaded.config().backend().engines()).isEqualTo(4);
    assertThat(loaded.config().backend().ranks()).isEqualTo(2);
    assertThat(loaded.notices()).filteredOn(line -> line.contains("instances")).isEmpty();
  }

  @Test
  void devices_fewerThanEnginesAndRanksNeed_areRefused() {
    assertThat(Loading.problems("-dp=2", "-tp=2", "--total-gpus=3"))
        .singleElement()
        .asString()
        .startsWith("--total-gpus: 3 for --tensor-parallel-size 2 of 2 engines; each rank needs");
    assertThat(Loading.problems("-dp=2", "--device-ids=0"))
        .singleElement()
        .asString()
        .startsWith("--device-ids: 1 for --tensor-parallel-size 1 of 2 engines; each rank needs");
    assertThat(Loading.config("-dp=2", "--device-ids=1,3").backend().gpu().devices())
        .containsExactly(1, 3);
  }

  @Test
  void engines_moreThanAProcessHas_areRefused() {
    assertThat(Loading.problems("--data-parallel-size=300"))
        .singleElement()
        .asString()
        .startsWith("--data-parallel-size: 300 engines are asked for; a process has at most 256");
    assertThat(Loading.problems("--num-instances=1024", "--data-parallel-size=1024"))
        .singleElement()
        .asString()
        .startsWith("--num-instances: 1048576 engines");
  }

  @Test
  void prefixesOnTheDisk_ofSeveralEngines_areKept() {
    List<String> flags = List.of("-dp=2", "--prefix-cache-dir=/p", "--kv-offloading-size=1");
    assertThat(Loading.loaded(Map.of(), flags).notices())
        .noneMatch(line -> line.contains("--prefix-cache-dir"));
  }
}
