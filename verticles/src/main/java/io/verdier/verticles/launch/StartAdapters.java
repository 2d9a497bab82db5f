package io.verdier.verticles.launch;

import io.verdier.conf.ServerConfig;
import io.verdier.conf.ServerConfig.AdapterModule;
import io.verdier.engine.lora.Adapter;
import io.verdier.engine.lora.AdapterException;
import io.verdier.engine.lora.AdapterSlots;
import io.verdier.engine.model.ModelException;
import io.verdier.verticles.bus.AdapterCard;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The adapters that the operator names. Stateless; called on the loading thread. */
final class StartAdapters {
  private static final Logger LOG = LoggerFactory.getLogger(StartAdapters.class);

  private StartAdapters() {}

  /**
   * Reads them and has them ready.
   *
   * @param directories of {@code config.adapters().modules()}
   * @param names that are taken
   * @throws ModelException if one cannot be served; the text names it
   */
  static List<AdapterCard> load(
      ServerConfig config, List<Path> directories, List<String> names, AdapterSlots slots) {
    List<AdapterCard> cards = new ArrayList<>();
    for (int i = 0; i < directories.size(); i++) {
      AdapterModule module = config.adapters().modules().get(i);
      if (names.contains(module.name())) {
        throw refused(module, "that is a name of the model itself.", null);
      }
      try (Adapter adapter = Adapter.read(directories.get(i), slots.shape())) {
        slots.add(adapter.identity(), adapter.factors());
        LOG.info(
            "Adapter {}: rank {}, {} projections, {}",
            module.name(),
            adapter.rank(),
            adapter.factors().size(),
            adapter.identity().substring(0, 12));
        cards.add(
            new AdapterCard(
                module.name(),
                EngineParts.shownSource(module.source()),
                module.baseModel().orElse(names.getFirst()),
                adapter.identity()));
      } catch (AdapterException unusable) {
        throw refused(module, String.valueOf(unusable.getMessage()), unusable);
      }
    }
    return cards;
  }

  private static ModelException refused(
      AdapterModule module, String why, @Nullable Throwable cause) {
    String text = "--lora-modules " + module.name() + ": " + why;
    return cause == null ? new ModelException(text) : new ModelException(text, cause);
  }
}
