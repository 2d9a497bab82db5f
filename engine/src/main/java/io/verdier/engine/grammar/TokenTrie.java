package io.verdier.engine.grammar;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.function.IntFunction;
import org.jspecify.annotations.Nullable;

/**
 * The tokens of a vocabulary by their bytes, as a tree in which tokens that begin alike share their
 * beginning. Immutable, but for what it remembers under a lock; one for all grammars.
 *
 * <p>Nodes lie in depth-first order, children by ascending byte: a walk goes through arrays from
 * front to back, and leaves a subtree by one jump. So do the tokens, those of a node before those
 * of its children. The root, which stands for no byte, is not stored.
 *
 * <p>Special tokens that constraints may ask for stand in it with bytes that no text has, see
 * {@link #specialBytes}. An ordinary token with such a byte is left out: no text of UTF-8 has it.
 */
public final class TokenTrie {
  /** Some ten kilobytes each; of those, what all grammars over the vocabulary share. */
  private static final int CONTENTS_MAX = 256;

  private final @Nullable Encoder encoder;
  private final int vocabularySize;
  private final byte[][] bytes; // by token id; empty where the grammar must never have it
  private final int[] sorted; // token ids by their bytes, [tokens]

  // By node.
  private final byte[] labels;
  private final int[] depths; // 0: first byte of a token
  private final int[] ends; // the node behind the subtree
  private final int[] tokenStarts; // in `sorted`; [nodes + 1]

  private final int depthMax;
  private final int[] byLength; // token ids, longest first
  private final int[] counts; // of tokens with so many bytes or more, [depthMax + 1]

  private final LinkedHashMap<ContentSet.Key, ContentSet> contents =
      new LinkedHashMap<>(16, 0.75f, true);

  /** Not in UTF-8. */
  private static final byte SPECIAL = (byte) 0xff;

  /** A vocabulary's own way to spell texts. Thread-safe. */
  public interface Encoder {
    /** The ids of a text, taken as it is: nothing is put in front. */
    int[] encode(String text);
  }

  private TokenTrie(byte[][] bytes, int[] sorted, Nodes nodes, @Nullable Encoder encoder) {
    this.encoder = encoder;
    vocabularySize = bytes.length;
    this.bytes = bytes;
    this.sorted = sorted;
    labels = Arrays.copyOf(nodes.labels, nodes.size);
    depths = Arrays.copyOf(nodes.depths, nodes.size);
    ends = Arrays.copyOf(nodes.ends, nodes.size);
    tokenStarts = Arrays.copyOf(nodes.tokenStarts, nodes.size + 1);
    tokenStarts[nodes.size] = sorted.length;
    depthMax = Arrays.stream(depths).max().orElse(-1) + 1;
    byLength = new int[sorted.length];
    counts = new int[depthMax + 2];
    for (int token : sorted) {
      counts[bytes[token].length - 1]++;
    }
    for (int length = depthMax - 1; length >= 0; length--) {
      counts[length] += counts[length + 1];
    }
    int[] at = counts.clone(); // behind those that are longer than the index
    for (int token : sorted) {
      byLength[at[bytes[token].length]++] = token;
    }
  }

  /** Of tokens alone: how they spell a text is not known. */
  public static TokenTrie of(int size, IntFunction<byte @Nullable []> bytesOf) {
    return of(size, bytesOf, null);
  }

  /** Without special tokens. */
  public static TokenTrie of(
      int size, IntFunction<byte @Nullable []> bytesOf, @Nullable Encoder encoder) {
    return of(size, bytesOf, id -> null, encoder);
  }

  /**
   * @param size of the vocabulary: ids are below it
   * @param bytesOf a token; null or empty for one that stands for no text, such as a special token
   * @param specialOf the spelling of a special token that constraints may ask for; else null
   * @param encoder how these tokens spell a text; null: not known, and no token is ever forced
   */
  public static TokenTrie of(
      int size,
      IntFunction<byte @Nullable []> bytesOf,
      IntFunction<@Nullable String> specialOf,
      @Nullable Encoder encoder) {
    byte[][] bytes = new byte[size][];
    List<Integer> ids = new ArrayList<>();
    for (int id = 0; id < size; id++) {
      String special = specialOf.apply(id);
      byte[] one = special == null ? ordinary(bytesOf.apply(id)) : specialBytes(special);
      bytes[id] = one;
      if (bytes[id].length > 0) {
        ids.add(id);
      }
    }
    ids.sort((a, b) -> Arrays.compareUnsigned(bytes[a], bytes[b]));
    int[] sorted = ids.stream().mapToInt(Integer::intValue).toArray();
    Nodes nodes = new Nodes();
    byte[] before = {};
    for (int i = 0; i < sorted.length; i++) {
      byte[] token = bytes[sorted[i]];
      int shared = Arrays.mismatch(before, token);
      nodes.closeTo(shared < 0 ? token.length : shared);
      for (int depth = shared < 0 ? token.length : shared; depth < token.length; depth++) {
        nodes.open(token[depth], i);
      }
      before = token;
    }
    nodes.closeTo(0);
    return new TokenTrie(bytes, sorted, nodes, encoder);
  }

  private static byte[] ordinary(byte @Nullable [] bytes) {
    if (bytes == null) {
      return new byte[0];
    }
    for (byte value : bytes) {
      if (value == SPECIAL) {
        return new byte[0];
      }
    }
    return bytes;
  }

  /** What a special token stands for: its spelling between bytes that are in no text. */
  static byte[] specialBytes(String spelling) {
    byte[] text = spelling.getBytes(StandardCharsets.UTF_8);
    byte[] marked = new byte[text.length + 2];
    System.arraycopy(text, 0, marked, 1, text.length);
    marked[0] = SPECIAL;
    marked[marked.length - 1] = SPECIAL;
    return marked;
  }

  /** Grows in depth-first order; used while a trie is made. */
  private static final class Nodes {
    private int size;
    private byte[] labels = new byte[1024];
    private int[] depths = new int[1024];
    private int[] ends = new int[1024];
    private int[] tokenStarts = new int[1024];
    private int[] path = new int[16]; // nodes from the root to here
    private int depth;

    /** A node's tokens begin with the one that opens it. */
    private void open(byte label, int token) {
      if (size + 1 >= labels.length) {
        labels = Arrays.copyOf(labels, 2 * size);
        depths = Arrays.copyOf(depths, 2 * size);
        ends = Arrays.copyOf(ends, 2 * size);
        tokenStarts = Arrays.copyOf(tokenStarts, 2 * size);
      }
      if (depth == path.length) {
        path = Arrays.copyOf(path, 2 * depth);
      }
      labels[size] = label;
      depths[size] = depth;
      tokenStarts[size] = token;
      path[depth++] = size++;
    }

    private void closeTo(int newDepth) {
      while (depth > newDepth) {
        ends[path[--depth]] = size;
      }
    }
  }

  @Nullable Encoder encoder() {
    return encoder;
  }

  public int vocabularySize() {
    return vocabularySize;
  }

  /** Of a mask. */
  int words() {
    return (vocabularySize + Long.SIZE - 1) / Long.SIZE;
  }

  /** How many tokens have so many bytes or more, from 1. */
  int countFrom(int length) {
    return length > depthMax ? 0 : counts[length - 1];
  }

  /** A token by its place in the order of lengths, longest first. */
  int longest(int place) {
    return byLength[place];
  }

  /**
   * The tokens within running text of these characters. Made outside the lock: who needs one that
   * is there must not wait for one that is being made.
   */
  ContentSet content(ContentSet.Key key) {
    synchronized (contents) {
      ContentSet known = contents.get(key);
      if (known != null) {
        return known;
      }
    }
    ContentSet made = ContentSet.of(this, key);
    synchronized (contents) {
      ContentSet first = contents.putIfAbsent(key, made);
      if (contents.size() > CONTENTS_MAX) {
        contents.remove(contents.firstEntry().getKey());
      }
      return first == null ? made : first;
    }
  }

  byte[] bytes(int token) {
    return bytes[token];
  }

  int nodes() {
    return labels.length;
  }

  int label(int node) {
    return labels[node] & 0xff;
  }

  int depth(int node) {
    return depths[node];
  }

  /** The node behind a subtree. */
  int end(int node) {
    return ends[node];
  }

  int depthMax() {
    return depthMax;
  }

  /**
   * Where in {@link #token} the tokens begin that end exactly at a node. They go on up to {@link
   * #tokensEnd}.
   */
  int tokensStart(int node) {
    return tokenStarts[node];
  }

  /** Behind the tokens that end exactly at a node. */
  int tokensEnd(int node) {
    return node + 1 < ends[node] ? tokenStarts[node + 1] : tokenStarts[ends[node]];
  }

  /** Behind all tokens of a subtree. */
  int subtreeTokensEnd(int node) {
    return tokenStarts[ends[node]];
  }

  /** A token by its place in the order of bytes. */
  int token(int place) {
    return sorted[place];
  }
}
