package io.verdier.conf;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.conf.ServerConfig.BackendKind;
import io.verdier.conf.ServerConfig.DataType;
import io.verdier.conf.ServerConfig.LoadFormat;
import io.verdier.conf.ServerConfig.Policy;
import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;

/** Every default, written down once more: changing one must be meant. */
class DefaultsTest {

  @Test
  void config_nothingGiven_hasTheseDefaults() {
    Map<String, String> environment = Map.of("XDG_CACHE_HOME", "/cache");

    assertThat(Loading.config(environment))
        .isEqualTo(
            new ServerConfig(
                new ServerConfig.Model(
                    Optional.empty(),
                    Optional.empty(),
                    Optional.empty(),
                    List.of(),
                    Optional.empty(),
                    Optional.empty(),
                    DataType.AUTO,
                    LoadFormat.AUTO,
                    OptionalInt.empty(),
                    new ChatConfig(Optional.empty(), Optional.empty(), Map.of()),
                    Optional.empty(),
                    Map.of(),
                    Optional.empty(),
                    0,
                    20),
                artifacts(),
                new ServerConfig.Cache(
                    16,
                    true,
                    OptionalLong.empty(),
                    OptionalInt.empty(),
                    Path.of("/cache/verdier"),
                    ServerConfig.PackedWeights.AUTO,
                    new ServerConfig.PrefixTiers(
                        0, OptionalLong.empty(), 1024, Optional.empty(), 64L << 30, 1)),
                new ServerConfig.Scheduling(2048, 256, 0, Policy.FCFS, Optional.empty()),
                adapters(),
                new ServerConfig.Backend(
                    BackendKind.AUTO,
                    OptionalInt.empty(),
                    ServerConfig.CpuKernels.AUTO,
                    ServerConfig.Quantization.NONE,
                    ServerConfig.KvFormat.OWN,
                    new ServerConfig.Gpu(0.92, false, List.of()),
                    1,
                    1,
                    Duration.ZERO),
                http(),
                new ServerConfig.Parsing(false, Optional.empty(), Optional.empty(), "", false),
                vertex(),
                limits(),
                new LoggingConfig(LoggingConfig.Level.INFO, LoggingConfig.Format.TEXT),
                new ServerConfig.StructuredOutput(false, false, false),
                pooler(),
                new TracingConfig(
                    Optional.empty(), TracingConfig.Protocol.GRPC, Map.of(), "verdier", false),
                new MeasureConfig(false, 0.01, false),
                cluster()));
  }

  private static ServerConfig.Adapters adapters() {
    return new ServerConfig.Adapters(
        false,
        1,
        1,
        16,
        List.of(),
        false,
        new AdapterSources(
            List.of("gs://", "hf://", "https://"), 8L << 30, Duration.ofMinutes(10)));
  }

  private static ServerConfig.Vertex vertex() {
    return new ServerConfig.Vertex(false, Optional.empty(), Optional.empty(), Optional.empty());
  }

  private static ClusterConfig cluster() {
    return new ClusterConfig(
        false,
        EnumSet.allOf(ClusterConfig.Role.class),
        "verdier",
        Optional.empty(),
        "127.0.0.1",
        Optional.empty(),
        5701,
        0,
        List.of(),
        Optional.empty(),
        Optional.empty(),
        Optional.empty(),
        Optional.empty(),
        false,
        Duration.ofSeconds(4),
        Duration.ofSeconds(60),
        ClusterConfig.Routing.PREFIX,
        new ClusterConfig.CacheNodes(0, Duration.ofMillis(500)),
        1,
        new PipelineConfig(1, 1, 0, "127.0.0.1", 29501, Duration.ofMinutes(5)));
  }

  private static Pooler pooler() {
    return new Pooler(Pooler.Runner.AUTO, Optional.empty(), Optional.empty());
  }

  private static ServerConfig.Artifacts artifacts() {
    return new ServerConfig.Artifacts(
        Path.of("/cache/verdier/artifacts"),
        OptionalLong.empty(),
        16,
        List.of(),
        new ServerConfig.Hub(
            URI.create("https://huggingface.co"),
            Path.of("/cache/huggingface/hub"),
            Optional.empty(),
            Path.of("/cache/huggingface/token"),
            false),
        new ServerConfig.Google(Optional.empty(), Optional.empty(), "metadata.google.internal"));
  }

  private static ServerConfig.Http http() {
    return new ServerConfig.Http(
        "0.0.0.0",
        8000,
        List.of(),
        List.of(), // keys of administrators
        "",
        List.of("*"),
        "assistant",
        false,
        false,
        false,
        new AnswerDefaults(false, 1),
        false,
        false, // responses stored
        false, // load told
        true, // API described
        ServerConfig.ApiDialect.V1,
        true);
  }

  private static Limits limits() {
    return new Limits(
        16 * 1024, // header bytes
        32L * 1024 * 1024, // body bytes
        128, // JSON depth
        200_000, // JSON nodes
        2048, // messages
        1024, // prompts
        128, // choices
        16, // stop strings
        1024, // characters of one
        1024, // logit_bias
        128, // tools
        2048, // sequences admitted
        503,
        256 * 1024, // stream buffer
        Duration.ofSeconds(10), // headers
        Duration.ofSeconds(30), // body silence
        Duration.ofSeconds(60), // keep-alive
        Duration.ofSeconds(3600), // request
        Duration.ofSeconds(25), // drain
        5_000_000, // template steps
        4 * 1024 * 1024, // template characters
        1000, // stored responses
        256L * 1024 * 1024, // bytes of them
        Duration.ofDays(1)); // age
  }

  @Test
  void notices_nothingGiven_none() {
    assertThat(Loading.loaded().notices()).isEmpty();
  }
}
