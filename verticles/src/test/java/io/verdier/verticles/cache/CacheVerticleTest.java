package io.verdier.verticles.cache;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.cache.artifact.ArtifactStore;
import io.verdier.cache.artifact.DownloadProgress;
import io.verdier.conf.ConfigLoader;
import io.verdier.conf.LoadResult;
import io.verdier.conf.ServerConfig;
import io.verdier.engine.RejectedException;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.ResolveModel;
import io.vertx.core.Vertx;
import java.io.InputStream;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class CacheVerticleTest {
  private static final Duration SOON = Duration.ofSeconds(20);
  @TempDir Path directory;

  /** Resources that nobody can read, for a reason that nobody foresaw. */
  private static final class Broken extends ClassLoader {
    @Override
    public InputStream getResourceAsStream(String name) {
      throw new IllegalStateException("broken");
    }
  }

  @Test
  void resolve_unforeseenFailure_isAnswered() {
    ServerConfig config =
        ((LoadResult.Loaded) ConfigLoader.load(List.of("--cache-dir=" + directory), Map.of()))
            .config();
    ArtifactStore store = new ArtifactStore(config, new Broken(), DownloadProgress.SILENT);
    Vertx vertx = Vertx.vertx();
    try {
      Bus bus = Bus.register(vertx);
      Throwable failed =
          vertx
              .deployVerticle(new CacheVerticle(0, store, config))
              .compose(
                  it ->
                      bus.request(
                          Addresses.cache(0), new ResolveModel(), ResolveModel.Reply.class, SOON))
              .transform(it -> io.vertx.core.Future.succeededFuture(it.cause()))
              .await();
      assertThat(failed)
          .isInstanceOf(RejectedException.class)
          .hasMessageContaining("failed inside the server");
    } finally {
      vertx.close().await();
    }
  }
}
