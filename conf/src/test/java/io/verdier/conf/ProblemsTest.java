package io.verdier.conf;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ProblemsTest {
  @TempDir Path directory;

  @Test
  void load_manyMistakes_reportsAllWithOriginAndNearestName() throws IOException {
    Path file = directory.resolve("v.yaml");
    Files.writeString(file, "max_num_sequences: 4\nblock-size: 24\n");

    assertThat(
            Loading.problems(
                Map.of("AIP_HTTP_PORT", "eighty", "VERDIER_THREADS", "0"),
                "--config",
                file.toString(),
                "--max-nun-seqs=3",
                "--dtype",
                "float17",
                "--max-queued-requests",
                "0",
                "--drain-timeout"))
        .containsExactlyInAnyOrder(
            "unknown flag --max-nun-seqs; did you mean --max-num-seqs? (argument 3)",
            "--dtype: 'float17' is not one of auto, half, float16, bfloat16, float, float32; did"
                + " you mean float16? (argument 4)",
            "--max-queued-requests: '0' is out of range; it must be 1..1048576 (argument 6)",
            "--drain-timeout: needs a value, 0..86400 seconds (argument 8)",
            "--port: 'eighty' is not a number; it must be 0..65535 (environment variable"
                + " AIP_HTTP_PORT)",
            "--threads: '0' is out of range; it must be 1..1024 (environment variable"
                + " VERDIER_THREADS)",
            "unknown flag --max_num_sequences; did you mean --max-num-seqs? ("
                + file
                + ", key max_num_sequences)",
            "--block-size: 24 is not a power of two; use 8, 16 or 32 ("
                + file
                + ", key block-size)");
  }

  @Test
  void pooler_anySpelling_isUnderstood() {
    for (String flag : List.of("--runner=pooling", "--convert=embed", "--task=embedding")) {
      assertThat(Loading.config(flag).pooler().runner()).isEqualTo(Pooler.Runner.POOLING);
    }
    for (String flag : List.of("--task=classify", "--task=reward", "--convert=classify")) {
      assertThat(Loading.config(flag).pooler().runner()).isEqualTo(Pooler.Runner.CLASSIFYING);
    }
    assertThat(Loading.config("--runner=pooling", "--convert=reward").pooler().runner())
        .isEqualTo(Pooler.Runner.CLASSIFYING);
    assertThat(Loading.config("--task=generate").pooler().runner())
        .isEqualTo(Pooler.Runner.GENERATE);
    Pooler mean =
        Loading.config(
                "--runner=pooling",
                "--override-pooler-config={\"pooling_type\":\"mean\",\"normalize\":false}")
            .pooler();
    assertThat(mean.type()).contains(Pooler.Type.MEAN);
    assertThat(mean.normalizes()).contains(false);
    assertThat(Loading.config("--pooler-config.use_activation=true").pooler().normalizes())
        .contains(true);
    assertThat(Loading.loaded("--pooler-config={\"pooling_tipe\":\"LAST\"}").notices())
        .singleElement()
        .asString()
        .contains("pooling_tipe has no effect; did you mean pooling_type?");
  }

  @Test
  void pooler_wrong_isRefused() {
    assertThat(Loading.problems("--runner=generate", "--convert=embed"))
        .singleElement()
        .asString()
        .contains("do not fit together");
    assertThat(Loading.problems("--task=embed", "--convert=classify"))
        .singleElement()
        .asString()
        .contains("do not fit together");
    assertThat(Loading.problems("--task=classify", "--backend=null"))
        .singleElement()
        .asString()
        .contains("no hidden states");
    assertThat(Loading.problems("--runner=pooling", "--backend=null"))
        .singleElement()
        .asString()
        .contains("no hidden states");
    assertThat(Loading.problems("--pooler-config={\"pooling_type\":\"STEP\",\"normalize\":\"x\"}"))
        .hasSize(2);
    assertThat(Loading.problems("--pooler-config=[1]"))
        .singleElement()
        .asString()
        .contains("must be a JSON object");
  }

  @Test
  void deviceIds_wrong_areRefused() {
    assertThat(Loading.problems("--device-ids=0,one", "--port=80"))
        .singleElement()
        .asString()
        .startsWith("--device-ids: 'one' must be a device's number");
    assertThat(Loading.problems("--device-ids", "2", "2"))
        .singleElement()
        .asString()
        .contains("once");
    assertThat(Loading.problems("--device-ids=1", "-tp=2"))
        .singleElement()
        .asString()
        .startsWith("--device-ids: 1 for --tensor-parallel-size 2;");
  }

  @Test
  void autoToolChoice_formatUnknown_isRefused() {
    assertThat(Loading.problems("--enable-auto-tool-choice", "--model=gs://b/m"))
        .singleElement()
        .asString()
        .startsWith("--enable-auto-tool-choice: needs --tool-call-parser");
    assertThat(Loading.config("--enable-auto-tool-choice").parsing().toolParser()).isEmpty();
    assertThat(Loading.problems("--tool-call-parser=llama_json"))
        .singleElement()
        .asString()
        .contains("did you mean llama3_json?");
  }

  @Test
  void ranks_asked_areTakenWithTheirDevices() {
    ServerConfig.Backend backend =
        Loading.config("--tensor-parallel-size=2", "--device-ids=3,1").backend();
    assertThat(backend.ranks()).isEqualTo(2);
    assertThat(backend.gpu().devices()).containsExactly(3, 1);
    assertThat(Loading.config("--tensor-parallel-size=0").backend().ranks()).isEqualTo(1);
    assertThat(Loading.loaded("-tp=2", "--backend=null").notices())
        .containsExactly("--tensor-parallel-size has no effect with the null backend");
    assertThat(Loading.loaded("--device-ids=1", "--backend=cpu").notices())
        .containsExactly("--device-ids has no effect without a GPU");
  }

  @Test
  void loadFormat_misspelt_isRefusedAndOfAnotherServerIsNoticed() {
    assertThat(Loading.problems("--load-format=dumy"))
        .singleElement()
        .asString()
        .contains("did you mean dummy?");
    assertThat(Loading.loaded("--load-format", "runai_streamer").notices())
        .contains(
            "--load-format runai_streamer has no effect: the model's safetensors files are read");
    assertThat(Loading.config("--load-format=dummy").model().loadFormat())
        .isEqualTo(ServerConfig.LoadFormat.DUMMY);
  }

  @Test
  void kvCacheDtype_ofEightBits_isE4m3() {
    assertThat(Loading.config().backend().kvFormat()).isEqualTo(ServerConfig.KvFormat.OWN);
    for (String own : List.of("auto", "bfloat16")) {
      assertThat(Loading.config("--kv-cache-dtype=" + own).backend().kvFormat())
          .isEqualTo(ServerConfig.KvFormat.OWN);
    }
    for (String narrow : List.of("fp8", "fp8_e4m3")) {
      assertThat(Loading.config("--kv-cache-dtype=" + narrow).backend().kvFormat())
          .isEqualTo(ServerConfig.KvFormat.FP8);
    }
    assertThat(Loading.problems("--kv-cache-dtype=fp8_e5m2"))
        .containsExactly(
            "--kv-cache-dtype: fp8_e5m2 is not there; fp8 (e4m3) is as small and more precise"
                + " (argument 1)");
  }

  @Test
  void unknownFlag_farFromAll_pointsToHelp() {
    assertThat(Loading.problems("--frobnicate-everything", "5"))
        .containsExactly(
            "unknown flag --frobnicate-everything; --help lists all flags (argument 1)");
  }

  @Test
  void unknownFlag_abbreviation_findsTheLongName() {
    assertThat(Loading.problems("--max-num-batched=1").getFirst())
        .contains("did you mean --max-num-batched-tokens?");
    assertThat(Loading.problems("--no-enable-prefix-cachin").getFirst())
        .contains("did you mean --no-enable-prefix-caching?");
  }

  @Test
  void badValue_whatAndRange_areSaid() {
    assertThat(Loading.problems("--port", "1.5"))
        .containsExactly("--port: '1.5' is not a whole number; it must be 0..65535 (argument 1)");
    assertThat(Loading.problems("--max-body-bytes=9G").getFirst())
        .contains("'9G' is out of range; it must be 1K..1G bytes");
    assertThat(Loading.problems("--enable-prefix-caching=maybe").getFirst())
        .contains("'maybe' is neither true nor false");
    assertThat(Loading.problems("--override-generation-config={oops").getFirst())
        .contains("'{oops' is not valid JSON");
    assertThat(Loading.problems("--override-generation-config=[1]").getFirst())
        .contains("must be a JSON object");
    assertThat(Loading.problems("--override-generation-config={\"top_k\":\"x\"}").getFirst())
        .contains("top_k must be a number, not \"x\"");
    assertThat(Loading.problems("--hf-overrides=[1]").getFirst())
        .contains("--hf-overrides: must be a JSON object");
    assertThat(Loading.problems("--rope-scaling=4").getFirst())
        .contains("--rope-scaling: must be a JSON object, as {\"rope_type\"");
    assertThat(Loading.problems("--default-chat-template-kwargs=[1]").getFirst())
        .contains("--default-chat-template-kwargs: must be a JSON object");
    assertThat(Loading.problems("--default-chat-template-kwargs={\"messages\":[]}").getFirst())
        .contains("may not hold messages");
    assertThat(Loading.problems("--default-chat-template-kwargs={\"tools\":[1]}").getFirst())
        .contains("tools must be a list of objects");
    assertThat(Loading.problems("--chat-template-content-format=lines").getFirst())
        .contains("auto, string, openai");
    assertThat(Loading.problems("--host=").getFirst()).contains("the value is empty");
    assertThat(Loading.problems("--host", "0.0.0.0 --port 1").getFirst()).contains("not a host");
    assertThat(Loading.problems("--max-model-len=99999999999").getFirst()).contains("out of range");
  }

  @Test
  void secondModel_isRefused() {
    assertThat(Loading.problems("org/one", "org/two"))
        .containsExactly(
            "an argument that is neither a flag nor a flag's value; one model is served (argument"
                + " 2)");
  }

  @Test
  void routes_withoutSlash_areRefused() {
    assertThat(
            Loading.problems(
                Map.of("AIP_PREDICT_ROUTE", "predict", "AIP_HEALTH_ROUTE", "/a b"),
                "--root-path=api"))
        .hasSize(3)
        .allMatch(line -> line.contains("must start with / and hold no blank, ? or #"));
  }

  @Test
  void file_missingOrBroken_isReportedWithoutItsText() throws IOException {
    assertThat(Loading.problems("--config=/nowhere/x.yaml"))
        .containsExactly("--config: there is no file /nowhere/x.yaml (argument 1)");
    for (String text :
        List.of("port: 1\nport: 2\n", "a: [s3cret\nb: s3cret", "api-key: {s3cret", "- s3cret\n")) {
      Path file = directory.resolve("broken.yaml");
      Files.writeString(file, text);
      List<String> problems = Loading.problems("--config", file.toString());
      assertThat(problems).as(text).hasSize(1).noneMatch(line -> line.contains("s3cret"));
      assertThat(problems.getFirst()).contains("broken.yaml, line ");
    }
  }

  @Test
  void file_wrongShapes_areRefused() throws IOException {
    Path file = directory.resolve("v.yaml");
    Files.writeString(file, "port: [1, 2]\nmax-num-seqs: 4\nmax_num_seqs: 5\nconfig: x.yaml\n");
    assertThat(Loading.problems("--config", file.toString()))
        .hasSize(3)
        .anyMatch(line -> line.startsWith("--port: takes one value, 0..65535"))
        .anyMatch(line -> line.startsWith("--max-num-seqs: is there twice"))
        .anyMatch(line -> line.startsWith("--config: a configuration file names no further one"));
  }

  @Test
  void overriddenValue_broken_harmsNobody() {
    assertThat(Loading.config(Map.of("AIP_HTTP_PORT", "x"), "--port=5").http().port()).isEqualTo(5);
  }
}
