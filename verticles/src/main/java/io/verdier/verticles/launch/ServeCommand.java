package io.verdier.verticles.launch;

import io.verdier.conf.ConfigLoader;
import io.verdier.conf.LoadResult;
import io.verdier.conf.ServerConfig;
import io.verdier.verticles.bus.ModelCard;
import java.util.List;
import java.util.Map;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** {@code verdier serve}: from the command line to a serving process, and its end. */
final class ServeCommand {
  private ServeCommand() {}

  static int run(List<String> argv, Map<String, String> environment) {
    return switch (ConfigLoader.load(argv, environment)) {
      case LoadResult.Invalid invalid -> Command.misused("serve", invalid);
      case LoadResult.HelpAsked help -> Command.print(help.text());
      case LoadResult.Loaded loaded -> serve(loaded);
    };
  }

  private static int serve(LoadResult.Loaded loaded) {
    ServerConfig config = loaded.config();
    config.logging().systemProperties().forEach(ServeCommand::setUnlessSet);
    Logger log = LoggerFactory.getLogger(ServeCommand.class); // reads its configuration here
    loaded.notices().forEach(log::info);
    loaded.given().forEach(log::info);
    if (!config.cluster().pipeline().isLead()) {
      return StageCommand.run(config, log);
    }
    Server.listen(loaded.models())
        .onSuccess(server -> start(server, config, log))
        .onFailure(
            failed -> {
              System.err.printf(
                  "verdier serve: cannot listen on %s:%d: %s%n",
                  config.http().host(), config.http().port(), failed.getMessage());
              System.exit(Command.FAILED);
            });
    return Command.STAYS;
  }

  private static void setUnlessSet(String property, String value) {
    if (System.getProperty(property) == null) {
      System.setProperty(property, value);
    }
  }

  private static void start(Server server, ServerConfig config, Logger log) {
    Ending ending = new Ending(server, config);
    Runtime.getRuntime().addShutdownHook(new Thread(ending::drain, "drain"));
    Signals.handle(List.of("TERM", "INT", "HUP"), ending::onSignal);
    server.onFailed(
        reason -> {
          log.error("The engine failed: {} The process ends so that it can be restarted.", reason);
          ending.end(Command.FAILED);
        });
    log.info("Listening on http://{}:{}; loading the model", config.http().host(), server.port());
    server
        .load()
        .onSuccess(cards -> announce(cards, server, config, log))
        .onFailure(
            failed -> {
              if (!ending.hasBegun()) { // else the end itself interrupted the loading
                log.error("The model cannot be served: {}", ModelParts.reason(failed));
                ending.end(Command.FAILED);
              }
            });
  }

  private static void announce(
      List<ModelCard> cards, Server server, ServerConfig config, Logger log) {
    for (ModelCard card : cards) {
      log.info("Serving {} with up to {} tokens per sequence", card.name(), card.maxModelLen());
    }
    // Deploy scripts wait for these words.
    log.info("Application startup complete.");
    log.info("Uvicorn running on http://{}:{}", config.http().host(), server.port());
  }
}
