package io.verdier.conf;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.introspect.Annotated;
import com.fasterxml.jackson.databind.introspect.JacksonAnnotationIntrospector;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.Service;
import io.fabric8.kubernetes.api.model.apps.Deployment;
import io.fabric8.kubernetes.api.model.apps.StatefulSet;
import io.fabric8.kubernetes.api.model.autoscaling.v2.HorizontalPodAutoscaler;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicy;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudget;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.yaml.snakeyaml.Yaml;

/**
 * What {@code conf/examples/cluster} deploys: that Kubernetes knows every field of it, that its
 * parts find each other, and that the server takes its flags without a word.
 */
class DeploymentFilesTest {
  private static final Path FILES = Path.of("examples/cluster");

  /** Fields that a kind does not have are errors, where the models would keep them aside. */
  private static final ObjectMapper STRICT =
      new ObjectMapper()
          .setAnnotationIntrospector(
              new JacksonAnnotationIntrospector() {
                private static final long serialVersionUID = 1;

                @Override
                public Boolean hasAnySetter(Annotated member) {
                  return Boolean.FALSE;
                }
              });

  private static final Map<String, Class<? extends HasMetadata>> KINDS =
      Map.of(
          "v1/Service", Service.class,
          "apps/v1/StatefulSet", StatefulSet.class,
          "apps/v1/Deployment", Deployment.class,
          "policy/v1/PodDisruptionBudget", PodDisruptionBudget.class,
          "autoscaling/v2/HorizontalPodAutoscaler", HorizontalPodAutoscaler.class,
          "networking.k8s.io/v1/NetworkPolicy", NetworkPolicy.class);

  @TempDir static Path secret; // what a pod has at /tls

  @BeforeAll
  static void mount() throws IOException {
    for (String name : List.of("tls.crt", "tls.key", "ca.crt")) {
      Files.writeString(secret.resolve(name), name);
    }
  }

  private static List<JsonNode> documents(String file) {
    List<JsonNode> documents = new ArrayList<>();
    try (var reader = Files.newBufferedReader(FILES.resolve(file))) {
      new Yaml().loadAll(reader).forEach(it -> documents.add(STRICT.valueToTree(it)));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return documents;
  }

  private static Stream<JsonNode> ofKind(String... kinds) {
    return documents("kubernetes.yaml").stream()
        .filter(it -> List.of(kinds).contains(it.get("kind").asText()));
  }

  /** Every set of pods. */
  private static List<JsonNode> workloads() {
    return ofKind("StatefulSet", "Deployment").toList();
  }

  private static JsonNode container(JsonNode workload) {
    return workload.at("/spec/template/spec/containers/0");
  }

  private static ServerConfig config(JsonNode workload) {
    List<String> argv = new ArrayList<>();
    Map<String, String> environment = new HashMap<>();
    for (JsonNode variable : container(workload).get("env")) {
      String value = variable.at("/valueFrom/fieldRef/fieldPath").asText();
      boolean isAddress = value.equals("status.podIP");
      String given = isAddress ? "10.1.2.3" : "a value of twenty characters";
      environment.put(variable.get("name").asText(), given);
    }
    for (JsonNode argument : container(workload).get("args")) {
      String text = argument.asText();
      for (Map.Entry<String, String> variable : environment.entrySet()) {
        text = text.replace("$(" + variable.getKey() + ")", variable.getValue());
      }
      assertThat(text).as("variables that the pod does not have").doesNotContain("$(");
      argv.add(text.replace("=/tls/", "=" + secret + "/"));
    }
    LoadResult.Loaded loaded = Loading.loaded(environment, argv);
    assertThat(loaded.notices()).as(workload.at("/metadata/name").asText()).isEmpty();
    return loaded.config();
  }

  @Test
  void kubernetes_everyField_isOneThatItsKindHas() throws IOException {
    for (JsonNode document : documents("kubernetes.yaml")) {
      String kind = document.get("apiVersion").asText() + "/" + document.get("kind").asText();
      assertThat(KINDS).containsKey(kind);
      HasMetadata read = STRICT.treeToValue(document, KINDS.get(kind));
      assertThat(read.getMetadata().getName()).startsWith("verdier");
    }
  }

  @Test
  void kubernetes_flags_areTakenWithoutAWord() {
    assertThat(workloads()).hasSize(2);
    for (JsonNode workload : workloads()) {
      ServerConfig config = config(workload);
      assertThat(config.cluster().enabled()).isTrue();
      Duration grace =
          Duration.ofSeconds(
              workload.at("/spec/template/spec/terminationGracePeriodSeconds").asLong());
      assertThat(grace).isGreaterThan(config.limits().drainTimeout());
    }
  }

  @Test
  void kubernetes_parts_findEachOther() {
    Set<Map<String, String>> pods = new HashSet<>();
    Set<String> names = new HashSet<>();
    for (JsonNode workload : workloads()) {
      Map<String, String> labels = labels(workload.at("/spec/template/metadata/labels"));
      assertThat(labels).isEqualTo(labels(workload.at("/spec/selector/matchLabels")));
      pods.add(labels);
      names.add(workload.get("kind").asText() + "/" + workload.at("/metadata/name").asText());
      Set<String> ports = texts(container(workload).get("ports"), "name");
      assertThat(ports).contains(container(workload).at("/readinessProbe/httpGet/port").asText());
      assertThat(ports).contains(container(workload).at("/startupProbe/tcpSocket/port").asText());
      assertThat(texts(container(workload).get("volumeMounts"), "name"))
          .isEqualTo(texts(workload.at("/spec/template/spec/volumes"), "name"));
      String service = config(workload).cluster().kubernetesService().orElseThrow();
      assertThat(ofKind("Service").map(it -> it.at("/metadata/name").asText())).contains(service);
    }
    ofKind("Service", "PodDisruptionBudget", "NetworkPolicy")
        .map(
            it ->
                it.findValue(it.at("/spec/selector").isMissingNode() ? "podSelector" : "selector"))
        .map(it -> labels(it.has("matchLabels") ? it.get("matchLabels") : it))
        .forEach(
            wanted ->
                assertThat(pods)
                    .as("pods with " + wanted)
                    .anyMatch(it -> it.entrySet().containsAll(wanted.entrySet())));
    ofKind("HorizontalPodAutoscaler")
        .map(it -> it.at("/spec/scaleTargetRef"))
        .forEach(
            it ->
                assertThat(names)
                    .contains(it.get("kind").asText() + "/" + it.get("name").asText()));
  }

  @Test
  void kubernetes_scaling_isByMetricsThatThereAre() throws IOException {
    String metrics = Files.readString(Path.of("../docs/metrics.md"));
    List<String> scaledBy =
        ofKind("HorizontalPodAutoscaler")
            .flatMap(it -> it.findValues("metric").stream())
            .map(it -> it.get("name").asText())
            .toList();
    assertThat(scaledBy).hasSize(2).allSatisfy(it -> assertThat(metrics).contains("`" + it + "`"));
  }

  @Test
  void compose_nodes_areTwoIngressesAndThreeEnginesThatKnowEachOther() {
    JsonNode compose = documents("docker-compose.yaml").getFirst();
    Set<String> services = new HashSet<>();
    compose.get("services").fieldNames().forEachRemaining(services::add);
    int engines = 0;
    for (String service : services) {
      JsonNode node = compose.get("services").get(service);
      Map<String, String> environment = labels(node.get("environment"));
      assertThat(environment.get("VERDIER_CLUSTER_SECRET")).startsWith("${");
      environment.put("VERDIER_CLUSTER_SECRET", "a value of twenty characters");
      LoadResult.Loaded loaded = Loading.loaded(environment, List.of());
      assertThat(loaded.notices()).as(service).isEmpty();
      ClusterConfig cluster = loaded.config().cluster();
      assertThat(Set.copyOf(cluster.members())).isEqualTo(services);
      assertThat(cluster.publicHost()).contains(service);
      engines += cluster.generates() ? 1 : 0;
      assertThat(Duration.parse("PT" + node.get("stop_grace_period").asText()))
          .isGreaterThan(loaded.config().limits().drainTimeout());
      node.get("networks")
          .forEach(it -> assertThat(compose.get("networks").has(it.asText())).isTrue());
    }
    assertThat(services).hasSize(5);
    assertThat(engines).isEqualTo(3);
  }

  private static Map<String, String> labels(JsonNode object) {
    Map<String, String> labels = new HashMap<>();
    object.forEachEntry((key, value) -> labels.put(key, value.asText()));
    return labels;
  }

  private static Set<String> texts(JsonNode array, String field) {
    Set<String> texts = new HashSet<>();
    array.forEach(it -> texts.add(it.get(field).asText()));
    return texts;
  }
}
