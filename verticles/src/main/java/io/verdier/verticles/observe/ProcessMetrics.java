package io.verdier.verticles.observe;

import com.sun.management.UnixOperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.BufferPoolMXBean;
import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryMXBean;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.DoubleSupplier;

/**
 * The process and its JVM, under the names of Prometheus's own client libraries: {@code process_*}
 * as every language has them, {@code jvm_*} where vLLM has {@code python_*}. Read when asked for.
 * Thread-safe.
 */
final class ProcessMetrics {
  /** Linux tells sizes here, in KiB; elsewhere they are left out. */
  private static final Path STATUS = Path.of("/proc/self/status");

  private final Exposition page = new Exposition(Map.of());

  ProcessMetrics() {
    process();
    memory();
    collections();
    page.gauge(
        "jvm_threads_current",
        "Threads of the JVM.",
        ManagementFactory.getThreadMXBean()::getThreadCount);
    Map<String, String> runtime = new LinkedHashMap<>();
    runtime.put("runtime", System.getProperty("java.runtime.name", ""));
    runtime.put("vendor", System.getProperty("java.vm.vendor", ""));
    runtime.put("version", System.getProperty("java.runtime.version", ""));
    page.info("jvm_runtime_info", "The Java runtime.", runtime);
  }

  private void process() {
    double startSeconds = ManagementFactory.getRuntimeMXBean().getStartTime() / 1e3;
    page.gauge("process_start_time_seconds", "Start, since the epoch.", () -> startSeconds);
    if (Files.isReadable(STATUS)) {
      page.gauge("process_resident_memory_bytes", "Memory in use.", () -> statusBytes("VmRSS:"));
      page.gauge("process_virtual_memory_bytes", "Memory mapped.", () -> statusBytes("VmSize:"));
    }
    if (ManagementFactory.getOperatingSystemMXBean() instanceof UnixOperatingSystemMXBean system) {
      page.decimalCounter(
          "process_cpu_seconds", "Processor time.", () -> system.getProcessCpuTime() / 1e9);
      page.gauge("process_open_fds", "Open files.", system::getOpenFileDescriptorCount);
      page.gauge("process_max_fds", "Files that may be open.", system::getMaxFileDescriptorCount);
    }
  }

  private static double statusBytes(String field) {
    try {
      for (String line : Files.readAllLines(STATUS, StandardCharsets.ISO_8859_1)) {
        if (line.startsWith(field)) {
          String[] words = line.substring(field.length()).strip().split(" ");
          return Long.parseLong(words[0]) * 1024.0;
        }
      }
    } catch (IOException | NumberFormatException unreadable) {
      // Said below: a scrape must not fail for one number.
    }
    return Double.NaN;
  }

  private void memory() {
    MemoryMXBean memory = ManagementFactory.getMemoryMXBean();
    Map<String, DoubleSupplier> used = new TreeMap<>();
    used.put("heap", () -> memory.getHeapMemoryUsage().getUsed());
    used.put("nonheap", () -> memory.getNonHeapMemoryUsage().getUsed());
    page.gauges("jvm_memory_used_bytes", "Memory of the JVM in use.", "area", used);
    Map<String, DoubleSupplier> max = new TreeMap<>();
    max.put("heap", () -> memory.getHeapMemoryUsage().getMax());
    max.put("nonheap", () -> memory.getNonHeapMemoryUsage().getMax());
    page.gauges("jvm_memory_max_bytes", "Most memory of the JVM; -1: no bound.", "area", max);
    Map<String, DoubleSupplier> buffers = new TreeMap<>();
    for (BufferPoolMXBean pool : ManagementFactory.getPlatformMXBeans(BufferPoolMXBean.class)) {
      buffers.put(pool.getName(), pool::getMemoryUsed);
    }
    page.gauges(
        "jvm_buffer_pool_used_bytes", "Memory of buffers outside the heap.", "pool", buffers);
  }

  private void collections() {
    for (GarbageCollectorMXBean collector : ManagementFactory.getGarbageCollectorMXBeans()) {
      page.summary(
          "jvm_gc_collection_seconds",
          "Garbage collections.",
          Map.of("gc", collector.getName()),
          () -> collector.getCollectionTime() / 1e3,
          collector::getCollectionCount);
    }
  }

  void write(StringBuilder text) {
    page.write(text);
  }
}
