package io.verdier.verticles.cluster;

import io.verdier.verticles.bus.ModelCard;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Engines that serve and are not used, because others have their name for something else. Owned by
 * the cluster's event loop.
 */
final class Refusals {
  private static final Logger LOG = LoggerFactory.getLogger(Refusals.class);

  private Set<String> told = Set.of();

  /** Why an engine is not used, in words for operators; empty: it is. */
  static Optional<String> of(ClusterView view, ClusterView.Node node) {
    ClusterView.Node rival = view.rival(node);
    return rival == null
        ? Optional.empty()
        : Optional.of(
            ("The engine of %s is not used: it serves %s with other weights, tokenizer, template or"
                    + " flags than %s, which was there first.")
                .formatted(
                    node.told.name(),
                    node.told.card().map(ModelCard::name).orElse(""),
                    rival.told.name()));
  }

  /** A line for each that is new. */
  void tell(ClusterView view) {
    Set<String> now = new HashSet<>();
    for (ClusterView.Node node : view.nodes()) {
      Optional<String> why = of(view, node);
      if (why.isPresent()) {
        now.add(node.id);
        if (!told.contains(node.id)) {
          LOG.warn("{}", why.get());
        }
      }
    }
    told = now;
  }
}
