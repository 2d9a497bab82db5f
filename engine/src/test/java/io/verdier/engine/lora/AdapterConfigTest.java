package io.verdier.engine.lora;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Every field that PEFT 0.20 writes for LoRA: what becomes of it if it is what PEFT writes by
 * itself, and if somebody has set it.
 */
class AdapterConfigTest {
  /** What is read, and tested where it is used, comes last. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "alora_invocation_tokens | null  | [1, 2]                            | refused",
        "arrow_config            | null  | {\"top_k\": 3}                    | refused",
        "auto_mapping            | null  | {\"parent_library\": \"x\"}       | harmless",
        "base_model_name_or_path | null  | \"org/base\"                      | harmless",
        "bias                    | \"none\" | \"lora_only\"                    | refused",
        "corda_config            | null  | {\"corda_method\": \"kpm\"}       | harmless",
        "eva_config              | null  | {\"rho\": 2.0}                    | harmless",
        "exclude_modules         | null  | [\"k_proj\"]                      | harmless",
        "fan_in_fan_out          | false | true                              | refused",
        "inference_mode          | true  | false                             | harmless",
        "kasa_config             | null  | {\"beta\": 0.1}                   | refused",
        "layer_replication       | null  | [[0, 4], [2, 5]]                  | refused",
        "layers_pattern          | null  | \"layers\"                        | harmless",
        "layers_to_transform     | null  | [1, 2]                            | harmless",
        "loftq_config            | {}    | {\"loftq_bits\": 4}               | harmless",
        "lora_bias               | false | true                              | refused",
        "lora_dropout            | 0.0   | 0.1                               | harmless",
        "lora_ga_config          | null  | {\"direction\": \"ArB2r\"}        | harmless",
        "megatron_config         | null  | {\"hidden_size\": 8}              | harmless",
        "megatron_core           | \"megatron.core\" | \"my.core\"            | harmless",
        "modules_to_save         | null  | [\"lm_head\"]                     | refused",
        "monteclora_config       | null  | {\"num_samples\": 8}              | refused",
        "peft_type               | \"LORA\" | \"ADALORA\"                      | refused",
        "peft_version            | \"0.18.0\" | \"0.19.1\"                    | harmless",
        "qalora_group_size       | 16    | 32                                | harmless",
        "revision                | null  | \"main\"                          | harmless",
        "runtime_config          | null  | {\"ephemeral_gpu_offload\": true} | harmless",
        "target_parameters       | null  | [\"experts.gate_up_proj\"]        | refused",
        "task_type               | \"CAUSAL_LM\" | \"SEQ_CLS\"                | harmless",
        "trainable_token_indices | null  | {\"embed_tokens\": [0]}           | refused",
        "use_bdlora              | null  | {\"nblocks\": 2}                  | refused",
        "use_dora                | false | true                              | refused",
        "use_qalora              | false | true                              | refused",
        "velora_config           | null  | {\"num_groups\": 8}               | refused",
        "ensure_weight_tying     | false | true                              | read",
        "use_rslora              | false | true                              | read",
        "rank_pattern            | {}    | {\"k_proj\": 8}                   | read",
        "alpha_pattern           | {}    | {\"k_proj\": 8}                   | read",
      })
  void field_asPeftHasIt_isReadHarmlessOrRefusedByName(
      String field, String usual, String set, String fate) {
    requireFate(field, usual, set, fate);
  }

  /** Those that begin with changes to the base model are refused. */
  @ParameterizedTest
  @CsvSource({
    "true,false,harmless",
    "'\"gaussian\"','\"eva\"',harmless",
    "'\"orthogonal\"','\"mica\"',harmless",
    "true,'\"pissa\"',refused",
    "true,'\"pissa_niter_16\"',refused",
    "true,'\"corda\"',refused",
    "true,'\"olora\"',refused",
    "true,'\"lora_ga\"',refused",
    "true,'\"loftq\"',refused",
  })
  void initLoraWeights_asPeftHasThem_areHarmlessOrRefused(String usual, String set, String fate) {
    requireFate("init_lora_weights", usual, set, fate);
  }

  private static void requireFate(String field, String usual, String set, String fate) {
    AdapterConfig without = parse("");
    assertThatCode(() -> parse(field, usual)).doesNotThrowAnyException();
    switch (fate) {
      case "refused" ->
          assertThatThrownBy(() -> parse(field, set))
              .isInstanceOf(AdapterException.class)
              .hasMessageStartingWith("adapter_config.json: " + field + " is ");
      case "harmless" ->
          assertThat(parse(field, set)).usingRecursiveComparison().isEqualTo(without);
      default -> assertThat(parse(field, set)).usingRecursiveComparison().isNotEqualTo(without);
    }
  }

  @Test
  void field_ofAnotherTool_isPassedOver() {
    assertThat(parse("my_tools_key", "{\"a\": [1]}"))
        .usingRecursiveComparison()
        .isEqualTo(parse(""));
  }

  @Test
  void tied_withoutTheHead_isRefused() {
    for (String value : List.of("true", "false")) {
      AdapterConfig config = parse("ensure_weight_tying", value);
      config.requireTied(false, false);
      config.requireTied(true, true);
      config.requireTied(false, true);
    }
    parse("ensure_weight_tying", "false").requireTied(true, false);
    assertThatThrownBy(() -> parse("ensure_weight_tying", "true").requireTied(true, false))
        .isInstanceOf(AdapterException.class)
        .hasMessageContaining("ensure_weight_tying is true")
        .hasMessageContaining("none of lm_head");
  }

  private static AdapterConfig parse(String field, String value) {
    return parse(",\"%s\":%s".formatted(field, value));
  }

  private static AdapterConfig parse(String more) {
    String json = "{\"r\":2,\"lora_alpha\":3,\"target_modules\":[\"q_proj\"]%s}".formatted(more);
    return AdapterConfig.parse(json.getBytes(StandardCharsets.UTF_8));
  }
}
