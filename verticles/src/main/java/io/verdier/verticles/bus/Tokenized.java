package io.verdier.verticles.bus;

import io.verdier.engine.schedule.EngineRequest;
import java.util.List;

/** New sequences, from the tokenizer to the scheduler. Immutable. */
public record Tokenized(List<EngineRequest> requests) {
  public Tokenized {
    requests = List.copyOf(requests);
  }
}
