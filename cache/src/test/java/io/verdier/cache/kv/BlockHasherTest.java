package io.verdier.cache.kv;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

class BlockHasherTest {
  private final BlockHasher hasher = new BlockHasher(2);

  @Test
  void root_pairsOfStrings_neverCollide() {
    Set<BlockHash> roots = new HashSet<>();
    List<String> strings =
        List.of("", "a", "b", "ab", "ba", "\0", "\0a", "\ud800", "\udc00", "?", "é", "e\u0301");
    for (String salt : strings) {
      for (String adapter : strings) {
        assertThat(roots.add(hasher.root(salt, adapter))).as(salt + "|" + adapter).isTrue();
      }
    }
  }

  @Test
  void next_parentAndTokens_isTheirDigest() throws Exception {
    BlockHash parent = new BlockHash(1, -2, 3, Long.MIN_VALUE);
    ByteBuffer bytes = ByteBuffer.allocate(40);
    bytes.putLong(1).putLong(-2).putLong(3).putLong(Long.MIN_VALUE).putInt(70_000).putInt(-1);
    ByteBuffer digest = ByteBuffer.wrap(MessageDigest.getInstance("SHA-256").digest(bytes.array()));

    assertThat(hasher.next(parent, new int[] {9, 70_000, -1, 9}, 1))
        .isEqualTo(
            new BlockHash(digest.getLong(), digest.getLong(), digest.getLong(), digest.getLong()));
  }

  @Test
  void next_sameTokensUnderOtherParent_hasOtherName() {
    int[] tokens = {1, 2, 1, 2};
    BlockHash first = hasher.next(hasher.root("", ""), tokens, 0);

    assertThat(hasher.next(first, tokens, 2)).isNotEqualTo(first);
    assertThat(hasher.next(hasher.root("", ""), tokens, 2)).isEqualTo(first);
  }
}
