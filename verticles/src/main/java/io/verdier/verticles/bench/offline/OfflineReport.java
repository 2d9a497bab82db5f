package io.verdier.verticles.bench.offline;

import io.verdier.conf.LoadResult;
import io.verdier.verticles.bench.Distribution;
import io.verdier.verticles.bench.offline.OfflineEngine.Run;
import io.verdier.verticles.bench.offline.OfflineResult.Subject;
import io.verdier.verticles.bench.offline.OpTimes.Profile;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.OptionalDouble;
import org.jspecify.annotations.Nullable;

/** Shows a result: as a table for people, as JSON for programs. Stateless. */
final class OfflineReport {
  private OfflineReport() {}

  static void print(OfflineResult result, PrintStream out) {
    OfflineOptions options = result.options();
    Subject subject = result.subject();
    out.println("Offline benchmark");
    row(out, "Model", options.modelConfig() + ", " + subject.weightType() + " weights");
    row(out, "Backend", subject.backend());
    row(out, "Batch, prompts", options.batch() + ", " + options.prompts());
    if (options.loraRows() > 0) {
      row(out, "Rows with an adapter", Integer.toString(options.loraRows()));
    }
    row(out, "Input, output, context", lengths(options));
    row(out, "Weights read per step (MB)", decimal(subject.weightBytes() / 1e6));
    row(out, "KV cache (MB; bytes a token)", cache(subject));
    row(out, "Loaded in (s)", decimal(subject.loadSeconds()));
    result
        .prefillTokensPerSecond()
        .ifPresent(rate -> row(out, "Prefill (tokens/s)", decimal(rate)));
    result
        .prefillGops()
        .ifPresent(
            gops -> row(out, "  multiplying (GOP/s; of probe)", share(gops, result.dotGops())));
    row(out, "Decode (tokens/s)", decimal(result.decodeTokensPerSecond()));
    row(out, "  reading (GB/s; of probe)", share(result.decodeGbPerS(), result.readGbPerS()));
    Distribution steps = result.decodeStepMs();
    row(
        out,
        "  step (ms): median, p99",
        decimal(steps.median()) + ", " + decimal(steps.percentile(99)));
    row(out, "  of it this thread's own work (ms)", decimal(result.hostMsPerStep()));
    row(
        out,
        "  device: working, idle (ms)",
        pair(result.deviceMsPerStep(), result.idleMsPerStep()));
    row(
        out,
        "Read probe (GB/s): before, after",
        pair(result.before().readGbPerS(), result.after().readGbPerS()));
    row(
        out,
        "Dot probe (GOP/s): before, after",
        pair(result.before().dotGops(), result.after().dotGops()));
    row(out, "Hash of the tokens; distinct ones", result.hash() + "; " + result.distinctTokens());
    if (options.profile()) {
      profile("prefill", result.runs().stream().map(Run::prefill).toList(), out);
      profile("decode", result.runs().stream().map(Run::decode).toList(), out);
    }
  }

  /** Means per step, so that they add up to its mean. */
  private static void profile(String kind, List<PhaseTimes> runs, PrintStream out) {
    int steps = runs.stream().mapToInt(PhaseTimes::steps).sum();
    if (steps == 0) {
      return;
    }
    Profile profile = new Profile();
    runs.forEach(run -> profile.add(run.profile()));
    double whole = runs.stream().mapToLong(PhaseTimes::nanos).sum() / 1e6 / steps;
    out.printf(Locale.ROOT, "%nOf a %s step%22s%10s%10s%10s%n", kind, "ms", "%", "GB/s", "GOP/s");
    double left = whole;
    for (OpTimes.Line line : profile.lines()) {
      double ms = line.nanos() / 1e6 / steps;
      left -= ms;
      String name = line.name() + " (" + line.calls() / steps + ")";
      out.printf(Locale.ROOT, "  %-32s%8.3f%10.1f", name, ms, 100 * ms / whole);
      if (line.operations() > 0) {
        double gigabytes = (double) line.weightBytes() / line.nanos();
        double rate = (double) line.operations() / line.nanos();
        out.printf(Locale.ROOT, "%10.1f%10.0f", gigabytes, rate);
      }
      out.println();
    }
    out.printf(Locale.ROOT, "  %-32s%8.3f%10.1f%n", "between them", left, 100 * left / whole);
    out.printf(Locale.ROOT, "  %-32s%8.3f%n", "all", whole);
  }

  static JsonObject json(OfflineResult result) {
    OfflineOptions options = result.options();
    Subject subject = result.subject();
    JsonObject json =
        new JsonObject()
            .put("model", options.modelConfig())
            .put("architecture", subject.spec().architecture())
            .put("parameters", subject.spec().parameters())
            .put("dtype", subject.weightType())
            .put("quantization", engineFlag(options, "--quantization"))
            .put("batch", options.batch())
            .put("num_prompts", options.prompts())
            .put("input_len", options.inputTokens())
            .put("output_len", options.outputTokens())
            .put("context", options.contextTokens())
            .put("context_filled", options.context().isPresent())
            .put("temperature", options.temperature())
            .put("json_schema", options.jsonSchema().orElse(null))
            .put("lora_rows", options.loraRows())
            .put("repeat", options.repeats())
            .put("backend", subject.backend())
            .put("threads", subject.threads())
            .put("weight_bytes_per_token", subject.weightBytes())
            .put("kv_bytes", subject.kvPlan().bytes())
            .put("kv_token_bytes", subject.kvTokenBytes())
            .put("load_s", subject.loadSeconds());
    figures(result, json);
    return json.put("bits_hash", result.hash())
        .put("distinct_tokens", result.distinctTokens())
        .put("java_version", System.getProperty("java.version"))
        .put("os", System.getProperty("os.name") + " " + System.getProperty("os.version"))
        .put("cpu", cpuName());
  }

  private static void figures(OfflineResult result, JsonObject json) {
    Distribution steps = result.decodeStepMs();
    json.put("prefill_tokens_per_s", orNull(result.prefillTokensPerSecond()))
        .put("prefill_tokens_per_s_runs", runs(result.prefill(), result.options()))
        .put("prefill_gops", orNull(result.prefillGops()))
        .put("decode_tokens_per_s", result.decodeTokensPerSecond())
        .put("decode_tokens_per_s_runs", new JsonArray(boxed(result.decode())))
        .put("decode_step_ms_median", steps.median())
        .put("decode_step_ms_p99", steps.percentile(99))
        .put("decode_step_bytes", result.decodeStepBytes())
        .put("decode_gb_per_s", result.decodeGbPerS())
        .put("decode_read_share", result.decodeGbPerS() / result.readGbPerS())
        .put("host_ms_per_step", result.hostMsPerStep())
        .put("device_ms_per_step", result.deviceMsPerStep())
        .put("device_idle_ms_per_step", result.idleMsPerStep())
        .put("read_gb_per_s_probe", result.readGbPerS())
        .put("read_gb_per_s_probe_before", result.before().readGbPerS())
        .put("read_gb_per_s_probe_after", result.after().readGbPerS())
        .put("dot_gops_probe", result.dotGops())
        .put("dot_gops_probe_before", result.before().dotGops())
        .put("dot_gops_probe_after", result.after().dotGops());
    if (result.prefillGops().isPresent()) {
      json.put("prefill_dot_share", result.prefillGops().getAsDouble() / result.dotGops());
    }
  }

  private static JsonArray runs(Distribution rates, OfflineOptions options) {
    return options.inputTokens() == 0 ? new JsonArray() : new JsonArray(boxed(rates));
  }

  private static List<Double> boxed(Distribution rates) {
    return Arrays.stream(rates.sorted()).boxed().toList();
  }

  private static @Nullable Double orNull(OptionalDouble value) {
    return value.isPresent() ? value.getAsDouble() : null;
  }

  /** As the configuration has it, the environment counted. */
  private static @Nullable String engineFlag(OfflineOptions options, String flag) {
    LoadResult.Effective effective = options.asked().effective().get(flag);
    return effective == null ? null : effective.value();
  }

  /** As the system calls it; empty where it does not say. */
  private static String cpuName() {
    try {
      return Files.readAllLines(Path.of("/proc/cpuinfo")).stream()
          .filter(line -> line.startsWith("model name"))
          .map(line -> line.substring(line.indexOf(':') + 1).strip())
          .findFirst()
          .orElse(System.getProperty("os.arch"));
    } catch (IOException notLinux) {
      return System.getProperty("os.arch");
    }
  }

  private static String lengths(OfflineOptions options) {
    String filled = options.context().isPresent() ? " put into the cache" : "";
    return options.inputTokens()
        + ", "
        + options.outputTokens()
        + ", "
        + options.contextTokens()
        + filled;
  }

  private static String cache(Subject subject) {
    return decimal(subject.kvPlan().bytes() / 1e6) + "; " + subject.kvTokenBytes();
  }

  private static String share(double value, double of) {
    return decimal(value) + "; " + decimal(100 * value / of) + " %";
  }

  private static String pair(double one, double other) {
    return decimal(one) + ", " + decimal(other);
  }

  private static void row(PrintStream out, String name, String value) {
    out.printf(Locale.ROOT, "%-36s%s%n", name, value);
  }

  private static String decimal(double value) {
    return String.format(Locale.ROOT, value < 10 ? "%.3f" : "%.1f", value);
  }
}
