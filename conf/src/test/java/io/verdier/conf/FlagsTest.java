package io.verdier.conf;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

class FlagsTest {
  /** Flags that are not part of a configuration: the last one only limits what others ask for. */
  private static final List<String> ELSEWHERE = List.of("--config", "--help", "--total-gpus");

  private static final ServerConfig DEFAULTS = Loading.config();

  /** A value of the flag other than its default. */
  private static String otherValue(Flag flag) {
    return switch (flag.name()) {
      case "--override-generation-config" -> "{\"top_k\": 7}";
      case "--structured-outputs-config" -> "{\"disable_any_whitespace\": true}";
      case "--reasoning-config" -> "{\"reasoning_parser\": \"qwen3\"}";
      case "--pooler-config", "--override-pooler-config" -> "{\"pooling_type\": \"MEAN\"}";
      case "--aip-mode" -> "PREDICTION";
      case "--block-size" -> "32";
      case "--host", "--master-addr" -> "::1";
      case "--ssl-cert-reqs" -> "2";
      default ->
          switch (flag.type().kind()) {
            case SWITCH -> flag.defaultText().orElse("false").equals("true") ? "false" : "true";
            case INT, LONG -> flag.type().min().add(java.math.BigDecimal.valueOf(7)).toString();
            case SIZE -> "2M".equals(flag.defaultText().orElse("")) ? "3M" : "1M";
            case FLOAT -> "0.125";
            case SECONDS, MILLIS -> "17";
            case TEXT ->
                flag.name().matches(".*(-endpoint|-emulator-host)") ? "http://other" : "/other";
            case LIST ->
                switch (flag.name()) {
                  case "--device-ids" -> "7";
                  case "--roles" -> "http";
                  case "--allowed-outbound-hosts" -> "other:443";
                  case "--lora-modules" -> "other=/other";
                  case "--allowed-lora-sources" -> "hf://other";
                  case "--otlp-traces-headers" -> "other=1";
                  case "--collect-detailed-traces" -> "all";
                  default -> "other";
                };
            case JSON -> "{\"a\": 1}";
            case CHOICE -> lastOther(flag);
          };
    };
  }

  /** What must be said besides. */
  private static List<String> beside(Flag flag) {
    return List.of("--nnodes", "--node-rank").contains(flag.name())
        ? List.of("--pipeline-parallel-size=8")
        : List.of();
  }

  private static String lastOther(Flag flag) {
    String usual = flag.defaultText().orElse("");
    return flag.type().words().reversed().stream()
        .filter(word -> !word.equals(usual))
        .findFirst()
        .orElse(usual);
  }

  @Test
  void flag_hasEffect_changesConfiguration() {
    for (Flag flag : Flags.all()) {
      boolean elsewhere = ELSEWHERE.contains(flag.name());
      if (flag.effect().exists() && !elsewhere) {
        List<String> beside = beside(flag);
        List<String> argv = new ArrayList<>(beside);
        argv.add(flag.name() + "=" + otherValue(flag));
        assertThat(Loading.loaded(Map.of(), argv).config())
            .as(flag.name())
            .isNotEqualTo(Loading.loaded(Map.of(), beside).config());
      }
    }
  }

  @Test
  void flag_hasNoEffect_changesNothingAndSaysSo() {
    for (Flag flag : Flags.all()) {
      if (!flag.effect().exists()) {
        LoadResult.Loaded loaded = Loading.loaded(flag.name() + "=" + otherValue(flag));
        assertThat(loaded.config()).as(flag.name()).isEqualTo(DEFAULTS);
        assertThat(loaded.notices()).as(flag.name()).hasSize(1);
        assertThat(loaded.notices().getFirst())
            .startsWith(flag.name() + " ")
            .contains(flag.effect().kind().phrase(), flag.effect().reason());
      }
    }
  }

  @Test
  void flag_hasNoEffectAndSaysTheDefault_isSilent() {
    for (Flag flag : Flags.all()) {
      if (!flag.effect().exists() && flag.defaultText().isPresent()) {
        LoadResult.Loaded loaded = Loading.loaded(flag.name(), flag.defaultText().get());
        assertThat(loaded.notices()).as(flag.name()).isEmpty();
      }
    }
  }

  @Test
  void flag_givenByItsOwnVariable_equalsGivenByArgument() {
    for (Flag flag : Flags.all()) {
      if (!List.of("--config", "--help").contains(flag.name())) {
        String value = otherValue(flag);
        List<String> beside = beside(flag);
        List<String> argv = new ArrayList<>(beside);
        argv.addAll(List.of(flag.name(), value));
        assertThat(Loading.loaded(Map.of(flag.ownVariable(), value), beside).config())
            .as(flag.name())
            .isEqualTo(Loading.loaded(Map.of(), argv).config());
      }
    }
  }

  @Test
  void table_namesAndVariables_areUnique() {
    Set<String> variables = new HashSet<>();
    for (Flag flag : Flags.all()) {
      List<String> names = new ArrayList<>(List.of(flag.ownVariable()));
      flag.variables().forEach(variable -> names.add(variable.name()));
      names.forEach(name -> assertThat(variables.add(name)).as(name).isTrue());
    }
  }

  @Test
  void find_everySpelling_isTheSameFlag() {
    for (String spelled : List.of("--max-num-seqs", "--max_num_seqs", "--max-num_seqs")) {
      assertThat(Flags.find(spelled).orElseThrow().flag()).isEqualTo(Flags.named("--max-num-seqs"));
    }
    assertThat(Flags.find("--no_enable_prefix_caching").orElseThrow().negated()).isTrue();
    assertThat(Flags.find("--no-port")).isEmpty();
    assertThat(Flags.find("--port.x")).isEmpty();
    assertThat(Flags.find("--hf_overrides.rope_scaling.type").orElseThrow().path())
        .containsExactly("rope_scaling", "type");
  }
}
