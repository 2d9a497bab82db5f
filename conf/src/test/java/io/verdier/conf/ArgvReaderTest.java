package io.verdier.conf;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;

class ArgvReaderTest {

  @Test
  void switch_everySpelling_isRead() {
    List<List<String>> off =
        List.of(
            List.of("--no-enable-prefix-caching"),
            List.of("--no_enable_prefix_caching"),
            List.of("--enable-prefix-caching=False"),
            List.of("--enable_prefix_caching", "false"),
            List.of("--enable-prefix-caching false"),
            List.of("--no-enable-prefix-caching=True"),
            List.of("--enable-prefix-caching=0"));
    for (List<String> argv : off) {
      ServerConfig config = Loading.loaded(Map.of(), argv).config();
      assertThat(config.cache().prefixCaching()).as(argv.toString()).isFalse();
    }
  }

  @Test
  void switch_beforeAModel_doesNotTakeIt() {
    ServerConfig config = Loading.config("serve", "--enable-request-id-headers", "org/model");
    assertThat(config.http().requestIdHeaders()).isTrue();
    assertThat(config.model().source()).contains("org/model");
  }

  @Test
  void model_positional_isReadAndWinsOverEarlierFlag() {
    assertThat(Loading.config("vllm", "serve", "org/model").model().source()).contains("org/model");
    LoadResult.Loaded both = Loading.loaded("--model=a", "serve-dir");
    assertThat(both.config().model().source()).contains("serve-dir");
    assertThat(both.notices())
        .containsExactly("--model is given more than once; the last one counts");
  }

  @Test
  void list_severalWays_collectsAll() {
    assertThat(Loading.config("--served-model-name", "a", "b").model().servedNames())
        .containsExactly("a", "b");
    assertThat(
            Loading.config("--served-model-name", "a", "--port=1", "--served-model-name=b")
                .model()
                .servedNames())
        .containsExactly("a", "b");
    assertThat(Loading.config("--allowed-origins", "[\"https://a\",\"https://b\"]").http())
        .extracting(ServerConfig.Http::allowedOrigins)
        .isEqualTo(List.of("https://a", "https://b"));
    assertThat(Loading.config("--api-key", "k1", "k2").http().apiKeys())
        .containsExactly("k1", "k2");
  }

  @Test
  void scalar_repeated_lastWins() {
    LoadResult.Loaded loaded = Loading.loaded("--port=1", "--port", "2");
    assertThat(loaded.config().http().port()).isEqualTo(2);
    assertThat(loaded.notices())
        .containsExactly("--port is given more than once; the last one counts");
  }

  @Test
  void alias_drainTimeout_isVllmsShutdownTimeout() {
    assertThat(Loading.config("--shutdown-timeout", "7").limits().drainTimeout())
        .isEqualTo(Duration.ofSeconds(7));
    assertThat(Loading.config("--drain_timeout=250ms").limits().drainTimeout())
        .isEqualTo(Duration.ofMillis(250));
  }

  @Test
  void number_withSuffix_isScaled() {
    assertThat(Loading.config("--max-model-len", "4k").model().maxModelLen())
        .isEqualTo(OptionalInt.of(4000));
    assertThat(Loading.config("--max-model-len", "4K").model().maxModelLen())
        .isEqualTo(OptionalInt.of(4096));
    assertThat(Loading.config("--max-model-len", "25.6k").model().maxModelLen())
        .isEqualTo(OptionalInt.of(25600));
    assertThat(Loading.config("--max-model-len", "-1").model().maxModelLen()).isEmpty();
    assertThat(Loading.config("--max-model-len=auto").model().maxModelLen()).isEmpty();
    assertThat(Loading.config("--kv-cache-memory-bytes=3GiB").cache().kvBytes())
        .isEqualTo(OptionalLong.of(3L << 30));
    assertThat(Loading.config("--null-step-ms=2.5").backend().nullStep())
        .isEqualTo(Duration.ofNanos(2_500_000));
    assertThat(Loading.config("--seed=-5").model().seed()).isEqualTo(-5);
  }

  @Test
  void json_wholeAndByKeys_merge() {
    assertThat(
            Loading.config(
                    "--override-generation-config.temperature",
                    "0.5",
                    "--override_generation_config={\"top_k\": 5, \"temperature\": 1}",
                    "--override-generation-config.top_p=0.75")
                .model()
                .generationOverrides())
        .isEqualTo(Map.of("temperature", 0.5, "top_k", 5.0, "top_p", 0.75));
    assertThat(Loading.config("--override-generation-config.min_p", "0.1").model())
        .extracting(ServerConfig.Model::generationOverrides)
        .isEqualTo(Map.of("min_p", 0.1));
  }

  @Test
  void configOverrides_everyFlag_isOneObjectWithSortedKeys() {
    assertThat(Loading.config().model().configOverrides()).isEmpty();
    assertThat(Loading.config("--hf-overrides={}").model().configOverrides()).isEmpty();
    assertThat(
            Loading.config(
                    "--hf-overrides={\"text_config\": {\"b\": [2, 1], \"a\": null}, \"is_causal\": true}",
                    "--hf-overrides.text_config.c=1")
                .model()
                .configOverrides())
        .hasValue("{\"is_causal\":true,\"text_config\":{\"a\":null,\"b\":[2,1],\"c\":1}}");
    assertThat(
            Loading.config(
                    "--rope-theta=1000000",
                    "--hf-overrides={\"rope_theta\": 5, \"rope_parameters\": {}}",
                    "--rope-scaling",
                    "{\"rope_type\": \"yarn\", \"factor\": 4.0}")
                .model()
                .configOverrides())
        .hasValue(
            "{\"rope_scaling\":{\"factor\":4.0,\"rope_type\":\"yarn\"},\"rope_theta\":1000000.0}");
  }

  @Test
  void chatTemplate_itsVariables_areDecodedJson() {
    assertThat(
            Loading.config(
                    "--default-chat-template-kwargs={\"enable_thinking\": false, \"n\": 1}",
                    "--default-chat-template-kwargs.style.tone=dry")
                .model()
                .chat()
                .variables())
        .isEqualTo(Map.of("enable_thinking", false, "n", 1L, "style", Map.of("tone", "dry")));
    assertThat(Loading.config("--default-chat-template-kwargs={\"a\": null}").model().chat())
        .extracting(ChatConfig::variables)
        .satisfies(variables -> assertThat(variables).containsOnlyKeys("a"));
    assertThat(Loading.config("--chat-template-content-format=openai").model().chat())
        .extracting(ChatConfig::contentFormat)
        .isEqualTo(Optional.of(ChatConfig.ContentFormat.OPENAI));
  }

  @Test
  void json_unknownKey_isNoticed() {
    LoadResult.Loaded loaded = Loading.loaded("--override-generation-config={\"temperatur\":1}");
    assertThat(loaded.notices())
        .containsExactly(
            "--override-generation-config: key temperatur has no effect; did you mean"
                + " temperature?");
  }

  @Test
  void shortForms_areRead() {
    assertThat(Loading.loaded("-pp=2", "-O3", "-q", "awq").notices()).hasSize(2);
    assertThat(Loading.config("-tp", "2").backend().ranks()).isEqualTo(2);
    assertThat(ConfigLoader.load(List.of("-h"), Map.of())).isInstanceOf(LoadResult.HelpAsked.class);
  }

  @Test
  void value_withBlankAfterEquals_staysWhole() {
    assertThat(Loading.config("--chat-template={{ a }} = {{ b }}").model().chat().template())
        .contains("{{ a }} = {{ b }}");
    assertThat(Loading.config("--chat-template", "{{ a }}").model().chat().template())
        .contains("{{ a }}");
  }

  @Test
  void structuredOutput_eachSpelling_isADefault() {
    for (String flag :
        List.of(
            "--structured-outputs-config={\"disable_any_whitespace\": true}",
            "--structured-outputs-config.disable_any_whitespace=true",
            "--guided-decoding-disable-any-whitespace")) {
      assertThat(Loading.config(flag).structuredOutput())
          .as(flag)
          .isEqualTo(new ServerConfig.StructuredOutput(true, false, false));
    }
    assertThat(
            Loading.config("--structured-outputs-config={\"disable_additional_properties\":true}")
                .structuredOutput())
        .isEqualTo(new ServerConfig.StructuredOutput(false, true, false));
    assertThat(
            Loading.config("--structured-outputs-config={\"enable_in_reasoning\":true}")
                .structuredOutput())
        .isEqualTo(new ServerConfig.StructuredOutput(false, false, true));
    assertThat(
            Loading.config("--structured-outputs-config={\"backend\": \"xgrammar\"}")
                .structuredOutput())
        .isEqualTo(new ServerConfig.StructuredOutput(false, false, false));
  }

  @Test
  void generationConfig_auto_meansTheModelsOwn() {
    assertThat(Loading.config("--generation-config=auto").model().generationConfig()).isEmpty();
    assertThat(Loading.config("--generation-config=vllm").model().generationConfig())
        .contains("vllm");
  }

  @Test
  void unknownShortForm_isAFlagAndNoModel() {
    assertThat(Loading.problems("-x", "5"))
        .containsExactly("unknown flag -x; --help lists all flags (argument 1)");
  }

  @Test
  void endOfFlags_leavesTheModel() {
    assertThat(Loading.config("--port=1", "--", "org/model").model().source())
        .contains("org/model");
  }

  @Test
  void effective_givenValues_nameTheirOrigins() {
    assertThat(
            Loading.loaded("--port=1", "--override-generation-config.top_k", "4", "org/m").given())
        .containsExactly(
            "--model org/m (argument 4)",
            "--override-generation-config {\"top_k\":4} (argument 2)",
            "--port 1 (argument 1)");
  }
}
