package io.verdier.engine.grammar;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Function;

/**
 * The grammars that were asked for last. Thread-safe: whoever asks first compiles on its own
 * thread, others who ask for the same wait for it. What was used longest ago goes first when all
 * together take too much.
 *
 * <p>What cannot be compiled is not remembered: that costs its {@link Budget} at most, each time,
 * and a refusal that lack of time alone has caused must not outlive it.
 */
public final class GrammarCache {
  /** 64 MiB: hundreds of schemas of the usual size. */
  public static final long BYTES_MAX = 64L << 20;

  private final long bytesMax;
  private final Function<Constraint, Grammar> compiler;

  // Under the lock of this object.
  private final LinkedHashMap<Constraint, Entry> grammars = new LinkedHashMap<>(16, 0.75f, true);
  private long bytes; // of those that are compiled

  /** A grammar that is kept, or will be. */
  private static final class Entry {
    final CompletableFuture<Grammar> grammar = new CompletableFuture<>();
    long bytes; // 0 while it is being compiled
  }

  /** Compiles within the default budget. */
  public GrammarCache() {
    this(BYTES_MAX, constraint -> GrammarCompiler.compile(constraint, Budget.defaults()));
  }

  /**
   * @param bytesMax of grammars and their constraints
   */
  public GrammarCache(long bytesMax, Function<Constraint, Grammar> compiler) {
    this.bytesMax = bytesMax;
    this.compiler = compiler;
  }

  /**
   * The grammar of a constraint; may take as long as compiling does.
   *
   * @throws GrammarException as the compiler
   */
  public Grammar get(Constraint constraint) {
    Entry entry;
    boolean isFirst;
    synchronized (this) {
      Entry known = grammars.get(constraint);
      isFirst = known == null;
      entry = known == null ? new Entry() : known;
      if (isFirst) {
        grammars.put(constraint, entry);
      }
    }
    if (isFirst) {
      compile(constraint, entry);
    }
    try {
      return entry.grammar.join();
    } catch (CompletionException failed) {
      if (failed.getCause() instanceof GrammarException refused) {
        throw refused;
      }
      throw failed;
    }
  }

  private void compile(Constraint constraint, Entry entry) {
    try {
      Grammar grammar = compiler.apply(constraint);
      keep(entry, grammar.bytes() + bytes(constraint));
      entry.grammar.complete(grammar);
    } catch (Throwable failure) { // whatever it is, those who wait must hear of it
      synchronized (this) {
        grammars.remove(constraint);
      }
      entry.grammar.completeExceptionally(failure);
    }
  }

  private synchronized void keep(Entry entry, long entryBytes) {
    entry.bytes = entryBytes;
    bytes += entryBytes;
    var oldest = grammars.entrySet().iterator();
    while (bytes > bytesMax && oldest.hasNext()) {
      Map.Entry<Constraint, Entry> candidate = oldest.next();
      if (candidate.getValue().bytes > 0) { // one that is being compiled takes nothing yet
        bytes -= candidate.getValue().bytes;
        oldest.remove();
      }
    }
  }

  private static long bytes(Constraint constraint) {
    return 200
        + switch (constraint) {
          case Constraint.JsonObject json -> 0L;
          case Constraint.JsonSchema json -> 2L * json.schema().length();
          case Constraint.Regex regex -> 2L * regex.pattern().length();
          case Constraint.Choice choice ->
              choice.options().stream().mapToLong(option -> 60 + 2L * option.length()).sum();
          case Constraint.Rules rules -> 2L * rules.text().length();
          case Constraint.StructuralTag tag -> 2L * tag.tag().length();
        };
  }

  /** Grammars that are kept or being compiled. */
  public synchronized int size() {
    return grammars.size();
  }

  /** Of those that are kept, about; never more than it was made for. */
  public synchronized long bytes() {
    return bytes;
  }
}
