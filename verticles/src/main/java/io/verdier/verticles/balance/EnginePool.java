package io.verdier.verticles.balance;

import io.verdier.conf.ClusterConfig.Routing;
import io.verdier.verticles.bus.EngineAddresses;
import io.verdier.verticles.bus.Submit;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntUnaryOperator;

/**
 * The engines of this node, and which of them gets a request. Thread-safe: shared by all HTTP
 * instances and the cluster's gate, under its own lock, which is taken once for a prompt and once
 * for the end of a sequence; not at all where there is one engine (docs/adr/0016).
 */
public final class EnginePool {
  private final EngineAddresses addresses;
  private final List<Engine> engines = new ArrayList<>();
  private final Balance balance = new Balance(Routing.PREFIX);

  /** Guarded by the pool's lock. */
  private static final class Engine implements Candidate {
    private final int number;
    private final IntUnaryOperator waiting;
    private final Prefixes read = new Prefixes();
    private int live;

    Engine(int number, IntUnaryOperator waiting) {
      this.number = number;
      this.waiting = waiting;
    }

    @Override
    public int known(long[] prefixes) {
      return read.known(prefixes);
    }

    @Override
    public int load() {
      return live + waiting.applyAsInt(number);
    }
  }

  /**
   * @param waiting sequences of an engine that have no blocks, by its number; from any thread
   */
  public EnginePool(EngineAddresses addresses, IntUnaryOperator waiting) {
    this.addresses = addresses;
    for (int number = 0; number < addresses.schedulers().size(); number++) {
      engines.add(new Engine(number, waiting));
    }
  }

  /** Of which nobody says who waits. */
  public static EnginePool of(EngineAddresses addresses) {
    return new EnginePool(addresses, engine -> 0);
  }

  /** Where an engine hears of cancellations. */
  public String scheduler(int engine) {
    return addresses.schedulers().get(engine);
  }

  /** Where all of them hear of prompts. */
  public List<String> tokenizers() {
    return addresses.tokenizers();
  }

  /**
   * Chooses an engine and counts the work there, until {@link #onEnd} for each of the sequences.
   *
   * @param sequences continuations of the prompt
   * @return the engine's number
   */
  public int choose(Submit submit, int sequences) {
    if (engines.size() == 1) {
      return 0;
    }
    long[] prefixes = Prefixes.of(submit);
    synchronized (this) {
      Engine chosen = balance.choose(engines, prefixes).orElseThrow();
      chosen.read.add(prefixes);
      chosen.live += sequences;
      return chosen.number;
    }
  }

  /** A sequence of an engine has ended. */
  public void onEnd(int engine) {
    if (engines.size() > 1) {
      synchronized (this) {
        engines.get(engine).live--;
      }
    }
  }
}
