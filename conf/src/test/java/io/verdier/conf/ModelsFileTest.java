package io.verdier.conf;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** What {@code POST /update_models} is given. */
class ModelsFileTest {

  private static List<String> problems(String yaml) {
    return ((LoadResult.Invalid) ModelsFile.read(yaml, Map.of()))
        .problems().stream().map(Problem::text).toList();
  }

  @Test
  void entries_ofWholeCommandLines_giveTheirModels() {
    String yaml =
        """
        - Args: [python, -m, vllm.entrypoints.api_server, --model=gs://b/a, --max-model-len=64]
          Env:
          - {name: MODEL_ID, value: first}
        - Args:
          - python
          - -m
          - vllm.entrypoints.model_cohost_server
          - --model=gs://b/b,gs://b/c
          - --served-model-name=b,c
          DeployedModel: {id: "1"}
        """;
    LoadResult.Loaded loaded =
        (LoadResult.Loaded) ModelsFile.read(yaml, Map.of("MODEL_ID", "process"));
    assertThat(loaded.models().stream().map(it -> it.model().source().orElse("")))
        .containsExactly("gs://b/a", "gs://b/b", "gs://b/c");
    assertThat(loaded.config().model().idAlias()).contains("first");
    assertThat(loaded.models().getLast().model().idAlias()).isEmpty();
  }

  @Test
  void files_thatAreNone_areRefused() {
    for (String yaml : List.of("", "{}", "[]", "a: [", "text")) {
      assertThat(problems(yaml))
          .as(yaml)
          .containsExactly("the file must be a YAML list with an entry a model");
    }
    assertThat(problems("- Env: []")).containsExactly("entry 1 has no list Args");
    assertThat(problems("- Args: [serve, --max-nun-seqs=1]"))
        .singleElement()
        .asString()
        .startsWith("unknown flag --max-nun-seqs; did you mean --max-num-seqs?");
    assertThat(problems("- Args: [serve, --model=a]\n- Args: [serve, --model=a]"))
        .singleElement()
        .asString()
        .contains("two models are named 'a'");
    assertThat(problems("- Args: [--help]")).containsExactly("entry 1 asks for help");
  }
}
