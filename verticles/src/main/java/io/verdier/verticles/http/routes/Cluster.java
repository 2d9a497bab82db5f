package io.verdier.verticles.http.routes;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.DrainNode;
import io.verdier.verticles.bus.NodesQuery;
import io.verdier.verticles.http.Exchange;
import io.vertx.core.buffer.Buffer;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * {@code /cluster}: what this node knows of all nodes, and how an operator drains one. Stateless.
 */
final class Cluster {
  private static final Pattern WISH = Pattern.compile("/cluster/nodes/([^/]+)/(drain|resume)");

  private Cluster() {}

  static void status(Exchange exchange, Map<String, @Nullable Object> none) {
    exchange
        .ingress()
        .bus()
        .request(Addresses.CLUSTER, new NodesQuery(), NodesQuery.Reply.class)
        .onComplete(
            reply -> exchange.reply(200, "application/json", Buffer.buffer(reply.json())),
            exchange::fail);
  }

  /** The page is a file beside the chat page's. */
  static void page(Exchange exchange, Map<String, @Nullable Object> none) {
    Pages.redirectTo(exchange, "/cluster.html");
  }

  static void drain(Exchange exchange, Map<String, @Nullable Object> none) {
    Matcher wish = WISH.matcher(exchange.request().path());
    if (!wish.matches()) {
      throw new RejectedException(
          ErrorCode.NOT_FOUND, "A node can be told to drain or to resume, nothing else.");
    }
    exchange
        .ingress()
        .bus()
        .request(
            Addresses.CLUSTER,
            new DrainNode(wish.group(1), wish.group(2).equals("drain")),
            DrainNode.Done.class)
        .onComplete(
            done -> exchange.reply(200, "application/json", Buffer.buffer("{}")), exchange::fail);
  }
}
