package io.verdier.conf;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** A command line for several models. */
class CohostLineTest {

  private static String[] line(String... flags) {
    List<String> argv = new ArrayList<>(List.of("-m", "vllm.entrypoints.model_cohost_server"));
    argv.addAll(List.of(flags));
    return argv.toArray(String[]::new);
  }

  private static List<ServerConfig> models(String... flags) {
    return Loading.loaded(line(flags)).models();
  }

  @Test
  void oneEntry_isForAllModels() {
    List<ServerConfig> models = models("--model=a, b ,c", "--max-model-len=64", "--port=81");
    assertThat(models.stream().map(it -> it.model().source().orElse("")))
        .containsExactly("a", "b", "c");
    assertThat(models).allMatch(it -> it.model().maxModelLen().orElse(0) == 64);
    assertThat(models).allMatch(it -> it.http().port() == 81);
    assertThat(models("--model=a")).hasSize(1);
    assertThat(models()).hasSize(1);
  }

  @Test
  void entries_tooFewOrTooMany_areRefused() {
    assertThat(Loading.problems(line("--model=a,b,c", "--max-model-len=64,65")))
        .singleElement()
        .asString()
        .startsWith("--max-model-len: 2 entries for 3 models; give one for each of --model, or");
    assertThat(Loading.problems(line("--model=a", "--served-model-name=x,y")))
        .singleElement()
        .asString()
        .startsWith("--served-model-name: 2 entries for 1 model;");
  }

  @Test
  void names_thatTwoModelsHave_areRefused() {
    assertThat(Loading.problems(line("--model=a,b", "--served-model-name=x,x")))
        .singleElement()
        .asString()
        .startsWith("--served-model-name: two models are named 'x'");
    assertThat(Loading.problems(line("--model=a,a")))
        .singleElement()
        .asString()
        .startsWith("--served-model-name: two models are named 'a'");
  }

  @Test
  void values_thatAreBadForAll_areToldOnce() {
    assertThat(Loading.problems(line("--model=a,b", "--block-size=24"))).hasSize(1);
  }

  @Test
  void cluster_ofSeveralModels_isRefused() {
    assertThat(Loading.problems(line("--model=a,b", "--cluster")))
        .singleElement()
        .asString()
        .startsWith("--cluster: a node serves one model");
  }

  @Test
  void memory_moreThanThereIs_isRefused() {
    assertThat(
            Loading.problems(
                line("--model=a,b", "--backend=cuda", "--gpu-memory-partition=0.7,0.6")))
        .singleElement()
        .asString()
        .startsWith("--gpu-memory-partition: the models' shares add up to 1.30");
    assertThat(models("--model=a,b", "--backend=cuda", "--gpu-memory-partition=0.5,0.5"))
        .hasSize(2);
  }

  @Test
  void environment_thatNamesTheModel_isForTheFirst() {
    LoadResult.Loaded loaded =
        Loading.loaded(
            Map.of("MODEL_ID", "id", "AIP_STORAGE_URI", "gs://b/s"), List.of(line("--model=a,b")));
    assertThat(loaded.models().get(0).model().idAlias()).contains("id");
    assertThat(loaded.models().get(1).model().idAlias()).isEmpty();
    assertThat(loaded.models().get(1).model().source()).contains("b");
  }
}
