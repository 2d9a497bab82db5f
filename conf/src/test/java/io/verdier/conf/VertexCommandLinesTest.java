package io.verdier.conf;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The command lines of Vertex AI's notebooks and manifests, row by row of the frequency table. */
class VertexCommandLinesTest {

  private static final List<String> ROWS =
      List.of(
          "--host=0.0.0.0",
          "--port=8080",
          "--port=7080",
          "--tensor-parallel-size=1",
          "--tensor-parallel-size=16",
          "--tensor-parallel-size=0",
          "--gpu-memory-utilization=0.9",
          "--gpu-memory-utilization=0.82",
          "--model=gs://bucket/dir/Name",
          "--model=meta-llama/Llama-3.1-8B-Instruct",
          "--swap-space=16",
          "--swap-space=4",
          "--disable-log-stats",
          "--dtype=auto",
          "--dtype=bfloat16",
          "--dtype=float16",
          "--max-model-len=4096",
          "--max-model-len=163840",
          "--trust-remote-code",
          "--max-num-seqs=256",
          "--max-num-seqs=5",
          "--enable-chunked-prefill",
          "--enable-prefix-caching",
          "--max-loras=1",
          "--max-cpu-loras=8",
          "--enable-lora",
          "--enforce-eager",
          "--model-type=llama3.1",
          "--host-prefix-kv-cache-utilization-target=0.75",
          "--host-prefix-kv-cache-utilization-target=0",
          "--tool-call-parser=vertex-llama-3",
          "--tool-call-parser=llama3_json",
          "--enable-auto-tool-choice",
          "--max-num-batched-tokens=16384",
          "--max-num-batched-tokens=1024",
          "--quantization=awq",
          "--quantization=gptq",
          "--max_model_len=4096",
          "--tensor_parallel_size=4",
          "--pipeline-parallel-size=2",
          "--kv-cache-dtype=fp8",
          "--kv-cache-dtype=auto",
          "--num-speculative-tokens=3",
          "--speculative-draft-tensor-parallel-size=8",
          "--disable-log-requests",
          "--host-prefix-kv-cache-min-len=1024",
          "--no-enable-prefix-caching",
          "--data-parallel-size=1",
          "--num_instances=2",
          "--total_gpus=8",
          "--gpu-memory-partition=0.45",
          "--model-replicas=4",
          "--total-gpus=8",
          "--served-model-name=llama",
          "--limit_mm_per_prompt=image=1",
          "--limit_mm_per_prompt='image=1'",
          "--limit-mm-per-prompt={\"image\": 1}",
          "--chat-template={% for m in messages %}{{ m.content }}{% endfor %}",
          "--chat-template=/templates/tool_chat.jinja",
          "--max-lora-rank=64",
          "--lora-modules=french=gs://bucket/french",
          "--trust-remote-code=True",
          "--enable-lora=False");

  static List<String> rows() {
    return ROWS;
  }

  @ParameterizedTest
  @MethodSource("rows")
  void row_afterEachPrefix_parses(String flag) {
    List<String> argv =
        new ArrayList<>(List.of("python", "-m", "vllm.entrypoints.api_server", flag));
    ServerConfig direct = Loading.config(flag);
    assertThat(Loading.loaded(Map.of(), argv).config()).isEqualTo(direct);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "python -m vllm.entrypoints.api_server",
        "python3 -m vllm.entrypoints.openai.api_server",
        "/usr/bin/python3.12 -u -m vllm.entrypoints.openai.api_server",
        "-m vllm.entrypoints.api_server",
        "vllm.entrypoints.api_server",
        "vllm serve",
        "/usr/local/bin/vllm serve",
        "serve",
        "python -m vllm.entrypoints.nginx_server",
        "python -m vllm.entrypoints.model_cohost_server",
        "/vllm-workspace/ray_launcher.sh python -m vllm.entrypoints.api_server",
        "./entrypoint.sh python -m vllm.entrypoints.api_server",
      })
  void prefix_literal_isSkipped(String prefix) {
    List<String> argv = new ArrayList<>(prefix.isEmpty() ? List.of() : List.of(prefix.split(" ")));
    argv.addAll(List.of("--port=7080", "--model=gs://b/m"));
    ServerConfig config = Loading.loaded(Map.of(), argv).config();
    assertThat(config.http().port()).isEqualTo(7080);
    assertThat(config.model().source()).contains("gs://b/m");
  }

  @Test
  void notebook_textDeployment_loadsWithALineForEachFlagWithoutEffect() {
    LoadResult.Loaded loaded =
        Loading.loaded(
            Map.of("AIP_HTTP_PORT", "8080", "AIP_MODE", "PREDICTION", "MODEL_ID", "meta/llama"),
            List.of(
                "python",
                "-m",
                "vllm.entrypoints.api_server",
                "--host=0.0.0.0",
                "--port=8080",
                "--model=gs://vertex-model-garden-public-us/llama3.2/Llama-3.2-1B",
                "--tensor-parallel-size=1",
                "--swap-space=16",
                "--gpu-memory-utilization=0.9",
                "--max-model-len=4096",
                "--dtype=auto",
                "--max-loras=1",
                "--max-cpu-loras=8",
                "--max-num-seqs=256",
                "--disable-log-stats"));

    assertThat(loaded.config().model().maxModelLen()).isEqualTo(OptionalInt.of(4096));
    assertThat(loaded.config().model().idAlias()).contains("meta/llama");
    assertThat(loaded.config().vertex().active()).isTrue();
    assertThat(loaded.config().http().logStats()).isFalse();
    assertThat(loaded.config().backend().gpu().memoryShare()).isEqualTo(0.9);
    assertThat(loaded.notices())
        .containsExactly(
            "--swap-space has no effect: a preempted sequence is computed again, never swapped",
            "--max-loras has no effect without --enable-lora",
            "--max-cpu-loras has no effect without --enable-lora");
  }

  @Test
  void kubernetesManifest_flagAndValueInOneElement_areSplit() {
    LoadResult.Loaded loaded =
        Loading.loaded(
            Map.of(),
            List.of(
                "python",
                "-m",
                "vllm.entrypoints.api_server",
                "--host 0.0.0.0",
                "--port 7080",
                "--model meta-llama/Llama-3.2-11B-Vision",
                "--served-model-name one two",
                "--dtype \"bfloat16\"",
                "--swap-space 16",
                "--enable-prefix-caching ",
                "--limit_mm_per_prompt 'image=1'",
                "--limit_mm_per_prompt='image=1'"));

    assertThat(loaded.config().http().port()).isEqualTo(7080);
    assertThat(loaded.config().model().source()).contains("meta-llama/Llama-3.2-11B-Vision");
    assertThat(loaded.config().model().servedNames()).containsExactly("one", "two");
    assertThat(loaded.config().model().dtype()).isEqualTo(ServerConfig.DataType.BFLOAT16);
  }

  @Test
  void cohost_commaLists_giveEachModelItsOwn() {
    LoadResult.Loaded loaded =
        Loading.loaded(
            Map.of(),
            List.of(
                "python",
                "-m",
                "vllm.entrypoints.model_cohost_server",
                "--model=gs://b/a,gs://b/b",
                "--served-model-name=x,y",
                "--gpu-memory-partition=0.45,0.45",
                "--model-replicas=4,1",
                "--tensor-parallel-size=2,4",
                "--pipeline-parallel-size=1,1",
                "--max-model-len=8192,4096",
                "--total-gpus=8"));

    assertThat(loaded.models()).hasSize(2);
    ServerConfig first = loaded.config();
    assertThat(first.model().source()).contains("gs://b/a");
    assertThat(first.model().servedNames()).containsExactly("x");
    assertThat(first.model().maxModelLen()).isEqualTo(OptionalInt.of(8192));
    assertThat(first.backend().engines()).isEqualTo(4);
    assertThat(first.backend().ranks()).isEqualTo(2);
    ServerConfig second = loaded.models().getLast();
    assertThat(second.model().source()).contains("gs://b/b");
    assertThat(second.model().servedNames()).containsExactly("y");
    assertThat(second.model().maxModelLen()).isEqualTo(OptionalInt.of(4096));
    assertThat(second.backend().engines()).isEqualTo(1);
    assertThat(second.backend().ranks()).isEqualTo(4);
    assertThat(second.backend().gpu().memoryShare()).isEqualTo(0.45);
    assertThat(second.http()).isEqualTo(first.http());
  }

  @Test
  void comma_elsewhereThanCohost_isPartOfTheValue() {
    assertThat(Loading.config("--model=/models/a,b").model().source()).contains("/models/a,b");
  }
}
