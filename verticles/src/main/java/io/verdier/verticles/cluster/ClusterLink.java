package io.verdier.verticles.cluster;

import io.verdier.conf.ClusterConfig;
import io.vertx.core.Future;
import io.vertx.core.buffer.Buffer;
import java.security.SecureRandom;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Frames over one membership: signed, sent, and read again. Owned by the cluster's event loop. */
final class ClusterLink {
  private static final Logger LOG = LoggerFactory.getLogger(ClusterLink.class);

  /** Who sends garbage sends much of it; one line in so many is enough to see it. */
  private static final int LOGGED_EACH = 1000;

  private final Membership membership;
  private final Seal seal;
  private long refused;

  private ClusterLink(Membership membership, Seal seal) {
    this.membership = membership;
    this.seal = seal;
  }

  /** Begins a life. */
  static Future<ClusterLink> join(ClusterConfig cluster, Membership.Listener listener) {
    return Membership.join(cluster, listener)
        .map(
            membership ->
                new ClusterLink(
                    membership,
                    new Seal(Trust.key(cluster), membership.id(), new SecureRandom().nextLong())));
  }

  String id() {
    return membership.id();
  }

  /** Where others find this node's bus. */
  String address() {
    return membership.busAddress();
  }

  List<String> members() {
    return membership.members();
  }

  /** Sends it; false: it is too large, and nobody hears of it. */
  boolean send(String node, Frame frame) {
    Buffer bytes;
    try {
      bytes = seal.close(node, frame, System.currentTimeMillis());
    } catch (WireException tooLarge) {
      LOG.warn("A message for another node is not sent: {}", tooLarge.getMessage());
      return false;
    }
    membership.send(node, bytes);
    return true;
  }

  /** What somebody sent; null if it is not to be believed. */
  Seal.@Nullable Opened open(Buffer bytes) {
    try {
      return seal.open(bytes, System.currentTimeMillis());
    } catch (WireException bad) {
      if (refused++ % LOGGED_EACH == 0) {
        LOG.warn("A frame from outside is refused: {} ({} so far)", bad.getMessage(), refused);
      }
      return null;
    }
  }

  /** Frames that were not believed. */
  long refused() {
    return refused;
  }

  /** Whether the registry has a node at the address that it says. */
  Future<Boolean> isAt(String node, String address) {
    return membership.busAddress(node).map(known -> known.map(address::equals).orElse(false));
  }

  /** Ends it without asking the others, who do not count on this node any more. */
  Future<Void> abandon() {
    return membership.abandon();
  }

  Future<Void> leave() {
    return membership.leave();
  }
}
