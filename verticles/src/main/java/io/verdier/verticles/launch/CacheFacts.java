package io.verdier.verticles.launch;

import io.verdier.conf.ServerConfig;
import io.verdier.conf.ServerConfig.PrefixTiers;
import io.verdier.engine.model.KvPlan;
import io.verdier.engine.model.ModelLoader.Description;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.TreeMap;

/**
 * Facts of a KV cache for the labels of {@code vllm:cache_config_info}, as vLLM names and spells
 * them: what reads them was written for Python. Stateless.
 *
 * <p>Those of vLLM's options that this cache does not have are told as it tells them where they are
 * off, but for those of other kinds of models ({@code mamba_*}).
 */
final class CacheFacts {
  private static final String NONE = "None";
  private static final double GIBI = 1L << 30;

  private CacheFacts() {}

  static Map<String, String> of(
      ServerConfig config, KvPlan plan, String cacheType, Description model) {
    Map<String, String> facts = new TreeMap<>();
    ServerConfig.Cache cache = config.cache();
    long tokens = (long) plan.blocks() * plan.blockTokens();
    facts.put("block_size", Integer.toString(plan.blockTokens()));
    facts.put("cache_dtype", cacheType);
    facts.put("calculate_kv_scales", "False");
    facts.put("cpu_offload_gb", "0.0"); // weights stay where they are computed with
    facts.put("enable_prefix_caching", cache.prefixCaching() ? "True" : "False");
    facts.put("gpu_memory_utilization", Double.toString(config.backend().gpu().memoryShare()));
    facts.put("is_attention_free", "False");
    facts.put("kv_cache_max_concurrency", Double.toString((double) tokens / model.lengthMax()));
    facts.put("kv_cache_memory_bytes", text(cache.kvBytes()));
    facts.put("kv_cache_size_tokens", Long.toString(tokens));
    offloading(facts, cache.tiers());
    facts.put("num_cpu_blocks", NONE);
    facts.put("num_gpu_blocks", Integer.toString(plan.blocks()));
    facts.put("num_gpu_blocks_override", text(cache.blocksOverride()));
    facts.put("prefix_caching_hash_algo", "sha256");
    OptionalInt window = Arrays.stream(model.spec().windows()).filter(it -> it > 0).max();
    facts.put("sliding_window", text(window));
    facts.put("swap_space", "0.0");
    return facts;
  }

  private static void offloading(Map<String, String> facts, PrefixTiers tiers) {
    boolean offloads = tiers.hostBytes().isPresent() || tiers.hostShare() > 0;
    facts.put("kv_offloading_backend", offloads ? "native" : NONE);
    OptionalLong bytes = tiers.hostBytes();
    Optional<Double> gibibytes =
        bytes.isPresent() ? Optional.of(bytes.getAsLong() / GIBI) : Optional.empty();
    facts.put("kv_offloading_size", gibibytes.map(Object::toString).orElse(NONE));
  }

  private static String text(OptionalInt value) {
    return value.isPresent() ? Integer.toString(value.getAsInt()) : NONE;
  }

  private static String text(OptionalLong value) {
    return value.isPresent() ? Long.toString(value.getAsLong()) : NONE;
  }
}
