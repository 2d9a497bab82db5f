package io.verdier.cache.artifact;

import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Which words of an address's query are its signature, and say nothing of what lies there: those of
 * Cloud Storage, S3, CloudFront and Azure. Short names are a signature's only beside the signature
 * itself, for elsewhere they may name anything. Stateless.
 */
final class SignedQuery {
  private static final List<String> PREFIXES = List.of("x-goog-", "x-amz-");

  private static final String SIGNATURE = "signature";
  private static final Set<String> BESIDE_SIGNATURE =
      Set.of(
          SIGNATURE,
          "expires",
          "googleaccessid",
          "awsaccesskeyid",
          "key-pair-id",
          "policy",
          "hash-algorithm");

  private static final String AZURE = "sig";
  private static final Set<String> BESIDE_AZURE =
      Set.of(
          AZURE, "sv", "ss", "srt", "sr", "sp", "st", "se", "spr", "sip", "si", "sdd", "ses",
          "skoid", "sktid", "skt", "ske", "sks", "skv", "saoid", "suoid", "scid");

  private SignedQuery() {}

  /** The rest of a query, in its order; empty: there is none. */
  static String unsigned(@Nullable String query) {
    if (query == null) {
      return "";
    }
    List<String> pairs = Arrays.asList(query.split("&"));
    Set<String> names = pairs.stream().map(SignedQuery::name).collect(Collectors.toSet());
    Set<String> dropped = new HashSet<>();
    if (names.contains(SIGNATURE)) {
      dropped.addAll(BESIDE_SIGNATURE);
    }
    if (names.contains(AZURE) && names.contains("sv")) {
      dropped.addAll(BESIDE_AZURE);
    }
    return pairs.stream()
        .filter(pair -> !dropped.contains(name(pair)))
        .filter(pair -> PREFIXES.stream().noneMatch(name(pair)::startsWith))
        .collect(Collectors.joining("&"));
  }

  private static String name(String pair) {
    return pair.replaceFirst("=.*", "").toLowerCase(Locale.ROOT);
  }
}
