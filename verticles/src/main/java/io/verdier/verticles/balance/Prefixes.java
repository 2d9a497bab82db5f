package io.verdier.verticles.balance;

import io.verdier.cache.lora.AdapterSource;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.bus.Submit;
import java.util.Arrays;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The prefixes that an engine has lately read, oldest forgotten first. Owned by whoever chooses
 * among engines.
 *
 * <p>Why of the prompt as it was sent, and not the hashes of cache blocks: an ingress has no
 * tokenizer, and equal beginnings of what is sent are equal beginnings of tokens. A hash stands for
 * all up to it, so the first one that is unknown ends what can be shared; only routing depends on
 * it, so a wrong hit costs time and nothing else.
 */
public final class Prefixes {
  /** A unit of prompts: about two cache blocks of English. */
  public static final int CHUNK_CHARS = 128;

  /** What lies beyond the first 32 thousand characters decides nothing. */
  public static final int CHUNKS_MAX = 256;

  private static final int REMEMBERED_MAX = 4096;
  private static final int REMEMBERED_MIN = 16;

  /** Of English; a prompt of token ids has two of them each, and seems half as long as it is. */
  private static final int CHARS_PER_TOKEN = 4;

  private int rememberedMax = REMEMBERED_MAX;

  private final Map<Long, Boolean> recent =
      new LinkedHashMap<>(64, 0.75f, true) {
        private static final long serialVersionUID = 1;

        @Override
        protected boolean removeEldestEntry(Map.Entry<Long, Boolean> eldest) {
          return size() > rememberedMax;
        }
      };

  /**
   * The engine's cache holds so many tokens: what was read before those has been forgotten there,
   * and is no reason to go back.
   *
   * @param tokens 0: nobody knows, as before an engine's first step
   */
  public void keep(long tokens) {
    long chunks = Math.min(tokens, Integer.MAX_VALUE) * CHARS_PER_TOKEN / CHUNK_CHARS;
    rememberedMax =
        tokens == 0 ? REMEMBERED_MAX : Math.clamp(chunks, REMEMBERED_MIN, REMEMBERED_MAX);
    Iterator<Long> eldest = recent.keySet().iterator();
    while (recent.size() > rememberedMax) {
      eldest.next();
      eldest.remove();
    }
  }

  /** These have been read too. */
  public void add(long[] hashes) {
    for (int i = hashes.length - 1; i >= 0; i--) { // caches forget the end of a prompt first
      recent.put(hashes[i], true);
    }
  }

  /** Whether the prefix has been read. */
  public boolean has(long hash) {
    return recent.containsKey(hash);
  }

  /** How many of them have been read, one behind the other from the first on. */
  int known(long[] hashes) {
    int count = 0;
    while (count < hashes.length && has(hashes[count])) {
      count++;
    }
    return count;
  }

  /** All that are remembered; a view. */
  public Set<Long> all() {
    return recent.keySet();
  }

  /** Hashes of the prompt's prefixes, shortest first, one per whole chunk. */
  public static long[] of(Submit submit) {
    Hasher hasher = new Hasher();
    AdapterSource adapter = submit.adapter();
    hasher.text(submit.cacheSalt()).text(adapter == null ? "" : adapter.place()).begin();
    switch (submit.prompt()) {
      case Prompt.Text text -> hasher.text(text.text());
      case Prompt.Pair pair -> hasher.text(pair.first()).text(pair.second());
      case Prompt.Tokens tokens -> {
        for (int id : tokens.ids()) {
          hasher.unit((char) id);
          hasher.unit((char) (id >>> 16));
        }
      }
      case Prompt.Chat chat -> hasher.value(chat.tools()).value(chat.messages());
    }
    return hasher.hashes();
  }

  /** Chained 64-bit hashes; the mixing is that of SplitMix64 (Steele et al., 2014). */
  private static final class Hasher {
    private final long[] hashes = new long[CHUNKS_MAX];
    private long state;
    private int units;
    private int count;

    /** What came so far separates tenants and adapters, and is no part of the first chunk. */
    void begin() {
      units = 0;
      count = 0;
    }

    long[] hashes() {
      return Arrays.copyOf(hashes, count);
    }

    void unit(char unit) {
      long mixed = (state ^ unit) * 0xbf58476d1ce4e5b9L;
      state = (mixed ^ (mixed >>> 27)) + 0x9e3779b97f4a7c15L;
      if (++units == CHUNK_CHARS && count < CHUNKS_MAX) {
        units = 0;
        long last = state * 0x94d049bb133111ebL;
        hashes[count++] = last ^ (last >>> 31);
      }
    }

    Hasher text(String text) {
      int length = Math.min(text.length(), CHUNKS_MAX * CHUNK_CHARS);
      for (int i = 0; i < length; i++) {
        unit(text.charAt(i));
      }
      unit('\uffff'); // ends it: a text and its continuation part here
      return this;
    }

    Hasher value(@Nullable Object value) {
      if (count == CHUNKS_MAX) {
        return this;
      }
      switch (value) {
        case null -> unit('\0');
        case String text -> text(text);
        case List<?> list -> list.forEach(this::value);
        case Map<?, ?> map ->
            map.forEach(
                (name, field) -> {
                  text(String.valueOf(name));
                  value(field);
                });
        default -> text(value.toString());
      }
      return this;
    }
  }
}
