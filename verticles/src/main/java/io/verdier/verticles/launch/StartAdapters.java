package io.verdier.verticles.launch;

import io.verdier.conf.ServerConfig.AdapterModule;
import io.verdier.engine.RejectedException;
import io.verdier.engine.model.ModelException;
import io.verdier.verticles.bus.AdapterCard;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.LoadAdapter;
import io.vertx.core.Future;
import java.util.List;

/** The adapters that the operator names. Stateless. */
final class StartAdapters {
  private StartAdapters() {}

  /**
   * Has them served, all at once; a bad one ends the start.
   *
   * @param address of the model's adapters
   * @return in the operator's order; fails with a {@link ModelException} that names the first bad
   *     one
   */
  static Future<List<AdapterCard>> load(Bus bus, String address, List<AdapterModule> modules) {
    List<Future<AdapterCard>> cards =
        modules.stream().map(module -> load(bus, address, module)).toList();
    return Future.join(cards).map(all -> all.<AdapterCard>list());
  }

  private static Future<AdapterCard> load(Bus bus, String address, AdapterModule module) {
    LoadAdapter load = new LoadAdapter(module.name(), module.source(), module.baseModel(), false);
    return bus.request(address, load, AdapterCard.class)
        .recover(failed -> Future.failedFuture(refused(module, failed)));
  }

  private static Throwable refused(AdapterModule module, Throwable failed) {
    return failed instanceof RejectedException rejected
        ? new ModelException("--lora-modules " + module.name() + ": " + rejected.text(), rejected)
        : failed;
  }
}
