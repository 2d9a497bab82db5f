package io.verdier.conf;

import io.verdier.conf.ClusterConfig.Role;
import io.verdier.conf.ClusterConfig.Routing;
import io.verdier.conf.ClusterConfig.Tls;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;

/**
 * Reads the flags that join a server with others. Owned by the thread that loads.
 *
 * <p>Hazelcast's open edition knows no authentication, and its wire no encryption. So whatever is
 * not on the loopback interface must have a secret and TLS, unless the operator says that the
 * network itself is closed.
 */
final class ClusterFlags {
  private static final int SECRET_CHARS_MIN = 16;
  private static final List<String> TLS =
      List.of("--cluster-tls-cert", "--cluster-tls-key", "--cluster-tls-ca");

  /** What holds between nodes that share a model, too. */
  private static final Set<String> OF_PIPELINE =
      Set.of(
          "--cluster-secret",
          "--cluster-name",
          "--cluster-silence-timeout",
          "--cluster-hang-timeout",
          "--cluster-tls-cert",
          "--cluster-tls-key",
          "--cluster-tls-ca");

  /** Either says how much memory a cache node may take. */
  private static final List<String> SIZES =
      List.of("--kv-offloading-size", "--host-prefix-kv-cache-utilization-target");

  private final Settings settings;
  private final Findings findings;

  ClusterFlags(Settings settings, Findings findings) {
    this.settings = settings;
    this.findings = findings;
  }

  ClusterConfig cluster() {
    ClusterConfig cluster =
        new ClusterConfig(
            settings.on("--cluster"),
            roles(),
            settings.text("--cluster-name"),
            settings.optionalText("--node-name"),
            settings.text("--cluster-host"),
            settings.optionalText("--cluster-public-host"),
            settings.whole("--cluster-port"),
            settings.whole("--cluster-bus-port"),
            members(),
            settings.optionalText("--cluster-kubernetes-service"),
            path("--cluster-config"),
            settings.optionalText("--cluster-secret"),
            tls(),
            settings.on("--insecure-cluster"),
            settings.duration("--cluster-silence-timeout"),
            settings.duration("--cluster-hang-timeout"),
            routing(),
            new ClusterConfig.CacheNodes(
                settings.whole("--cluster-cache-port"),
                settings.duration("--cluster-cache-timeout")),
            settings.whole("--cluster-min-nodes"),
            new PipelineFlags(settings, findings).pipeline());
    if (cluster.enabled()) {
      check(cluster);
    } else {
      noticeWithoutCluster(cluster.pipeline());
    }
    if (cluster.pipeline().spansNodes()) {
      checkPipeline(cluster);
    }
    return cluster;
  }

  private Set<Role> roles() {
    Set<Role> roles = EnumSet.noneOf(Role.class);
    for (String word : words(settings.list("--roles"))) {
      Optional<Role> role = role(word);
      if (role.isEmpty()) {
        problem(
            "--roles", "'" + Shown.text(word) + "' is not a role; choose of http, engine, cache");
      }
      role.ifPresent(roles::add);
    }
    if (roles.isEmpty()) {
      problem("--roles", "a node without a role does nothing");
    }
    return roles;
  }

  private static Optional<Role> role(String word) {
    for (Role role : Role.values()) {
      if (role.name().toLowerCase(Locale.ROOT).equals(word.toLowerCase(Locale.ROOT))) {
        return Optional.of(role);
      }
    }
    return Optional.empty();
  }

  private Routing routing() {
    String word = settings.text("--cluster-routing-policy");
    return Routing.valueOf(word.toUpperCase(Locale.ROOT).replace('-', '_'));
  }

  private List<String> members() {
    List<String> members = words(settings.list("--cluster-members"));
    for (String member : members) {
      if (!member.matches("[A-Za-z0-9._\\[\\]:-]+")) {
        problem("--cluster-members", "'" + Shown.text(member) + "' is not host or host:port");
      }
    }
    return members;
  }

  private static List<String> words(List<String> lists) {
    List<String> words = new ArrayList<>();
    for (String list : lists) {
      for (String word : list.split(",", -1)) {
        if (!word.isBlank()) {
          words.add(word.strip());
        }
      }
    }
    return words;
  }

  private Optional<Tls> tls() {
    return TLS.stream().anyMatch(settings::given)
        ? Optional.of(new Tls(file(TLS.get(0)), file(TLS.get(1)), file(TLS.get(2))))
        : Optional.empty();
  }

  private Path file(String flag) {
    return path(flag).orElse(Path.of(""));
  }

  /** Empty where the flag was not given, or is wrong, which is said. */
  private Optional<Path> path(String flag) {
    Optional<Path> path = settings.optionalText(flag).flatMap(ClusterFlags::read);
    if (path.isEmpty() && settings.optionalText(flag).isPresent()) {
      problem(flag, "not a path");
    }
    return path;
  }

  private static Optional<Path> read(String path) {
    try {
      return Optional.of(Path.of(path));
    } catch (InvalidPathException e) {
      return Optional.empty();
    }
  }

  private void checkFiles(ClusterConfig cluster) {
    if (cluster.tls().isPresent() && !TLS.stream().allMatch(settings::given)) {
      problem(TLS.getFirst(), "TLS between nodes needs all of " + String.join(", ", TLS));
    }
    List<String> files = new ArrayList<>(TLS);
    files.add("--cluster-config");
    for (String flag : files) {
      settings
          .optionalText(flag)
          .flatMap(ClusterFlags::read)
          .filter(file -> !Files.isReadable(file))
          .ifPresent(file -> problem(flag, "'" + Shown.text(file.toString()) + "' cannot be read"));
    }
  }

  private void check(ClusterConfig cluster) {
    checkSecret(cluster);
    requireGuard(cluster, "--cluster-host", cluster.host());
    checkFiles(cluster);
    if (cluster.keepsBlocks() && SIZES.stream().noneMatch(settings::given)) {
      problem(
          "--roles",
          "a cache node keeps blocks in its memory; say how much it may take: "
              + String.join(" or ", SIZES));
    }
    if (!cluster.members().isEmpty() && cluster.kubernetesService().isPresent()) {
      problem(
          "--cluster-kubernetes-service", "give either it or --cluster-members to find the others");
    }
  }

  /** Hidden states tell what a prompt says, so they are guarded as prompts are. */
  private void checkPipeline(ClusterConfig cluster) {
    if (!cluster.enabled()) {
      checkSecret(cluster);
      checkFiles(cluster);
    }
    requireGuard(cluster, "--master-addr", cluster.pipeline().masterHost());
    if (cluster.enabled() && !cluster.pipeline().isLead()) {
      findings.notice("--cluster has no effect on node 1 and up: node 0 joins for all of them");
    }
  }

  private void checkSecret(ClusterConfig cluster) {
    cluster
        .secret()
        .filter(secret -> secret.length() < SECRET_CHARS_MIN)
        .ifPresent(
            secret ->
                problem(
                    "--cluster-secret",
                    "it has "
                        + secret.length()
                        + " characters; at least "
                        + SECRET_CHARS_MIN
                        + " are needed, best random ones"));
  }

  private void requireGuard(ClusterConfig cluster, String flag, String host) {
    boolean guarded = cluster.secret().isPresent() && cluster.tls().isPresent();
    if (!isLoopback(host) && !guarded && !cluster.insecure()) {
      problem(
          flag,
          "'"
              + Shown.text(host)
              + "' is open to the network without "
              + (cluster.secret().isEmpty() ? "--cluster-secret" : String.join(", ", TLS))
              + "; give them, or --insecure-cluster where nobody else can reach these ports");
    }
  }

  /** Only what is sure to be: a name may mean anything tomorrow. */
  private static boolean isLoopback(String host) {
    return host.equals("localhost") || host.startsWith("127.") || host.equals("::1");
  }

  private void noticeWithoutCluster(PipelineConfig pipeline) {
    for (Flag flag : Flags.all()) {
      boolean ofCluster = flag.name().startsWith("--cluster-") || flag.name().equals("--roles");
      boolean ofPipeline = pipeline.spansNodes() && OF_PIPELINE.contains(flag.name());
      if (ofCluster && !ofPipeline && settings.given(flag.name())) {
        findings.notice(flag.name() + " has no effect without --cluster");
      }
    }
  }

  private void problem(String flag, String text) {
    findings.problem(settings.origin(flag), flag + ": " + text);
  }
}
