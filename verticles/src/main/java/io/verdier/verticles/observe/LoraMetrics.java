package io.verdier.verticles.observe;

import io.verdier.cache.lora.AdapterStore;
import java.util.function.LongSupplier;

/** Adapters between the disk, host memory and the device's slots. Thread-safe. */
public final class LoraMetrics {
  private static final double[] SECONDS = {
    .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300
  };

  private final Exposition.Histogram fetch;
  private final Exposition.Histogram fill;

  /** The store's last word; replaced whole, so readers see one consistent record. */
  private volatile AdapterStore.Stats stats = new AdapterStore.Stats(0, 0, 0, 0, 0, 0);

  /**
   * Suppliers give numbers that their owners keep and any thread may read.
   *
   * @param diskBytes of downloads
   * @param deviceBytes of slots
   * @param slotLoads adapters put into a slot so far
   */
  LoraMetrics(
      Exposition page, LongSupplier diskBytes, LongSupplier deviceBytes, LongSupplier slotLoads) {
    fetch =
        page.histogram(
            "verdier:lora_fetch_seconds",
            "Time to have an adapter's files and read them.",
            SECONDS);
    fill =
        page.histogram(
            "verdier:lora_fill_seconds", "Time to lay an adapter out in host memory.", SECONDS);
    page.gauge("verdier:lora_host_bytes", "Adapters in host memory.", () -> stats.hostBytes());
    page.gauge("verdier:lora_host_adapters", "Adapters in host memory.", () -> stats.hostCount());
    page.gauge(
        "verdier:lora_waiting", "Sequences that wait for an adapter.", () -> stats.waiting());
    page.counter("verdier:lora_loads", "Adapters brought to host memory.", () -> stats.loads());
    page.counter(
        "verdier:lora_load_failures", "Adapters that could not be.", () -> stats.failures());
    page.counter(
        "verdier:lora_evictions", "Adapters that left host memory.", () -> stats.evictions());
    page.gauge(
        "verdier:lora_disk_bytes",
        "Downloads kept on the disk, adapters and others.",
        diskBytes::getAsLong);
    page.gauge(
        "verdier:lora_device_bytes", "Slots of adapters on the device.", deviceBytes::getAsLong);
    page.counter("verdier:lora_slot_loads", "Adapters put into a slot of the device.", slotLoads);
  }

  /** The files of an adapter are on the disk, and read. */
  public void onFetched(double seconds) {
    fetch.observe(seconds);
  }

  /** An adapter is laid out in host memory. */
  public void onFilled(double seconds) {
    fill.observe(seconds);
  }

  /** Something has happened to adapters in host memory. */
  public void onChange(AdapterStore.Stats now) {
    stats = now;
  }
}
