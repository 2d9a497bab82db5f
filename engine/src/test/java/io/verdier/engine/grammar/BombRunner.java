package io.verdier.engine.grammar;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;

/**
 * The main class of a machine of its own, whose heap bounds what bombs may hold: compiles each,
 * goes some way in those that can be compiled, and prints a line for each.
 */
final class BombRunner {
  private static final int VOCABULARY = 5000;
  private static final int STEPS = 60;
  private static final long STORE_BYTES = 4 << 20;

  private BombRunner() {}

  public static void main(String[] args) {
    List<byte[]> tokens = SampleVocabulary.tokens(VOCABULARY, 1);
    TokenTrie trie = TokenTrie.of(tokens.size(), tokens::get);
    Map<String, Constraint> bombs = TestBombs.all();
    for (String warm : new String[] {"json: multiples", "regex: (a+)+b", "json: unique"}) {
      run(warm, Objects.requireNonNull(bombs.get(warm)), trie);
    }
    System.gc();
    Runtime machine = Runtime.getRuntime();
    System.out.println("used " + (machine.totalMemory() - machine.freeMemory()));
    if (args.length == 0) {
      bombs.forEach((name, bomb) -> run(name, bomb, trie));
      System.out.println("done");
    }
  }

  private static void run(String name, Constraint bomb, TokenTrie trie) {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    long allocated = threads.getCurrentThreadAllocatedBytes();
    long start = threads.getCurrentThreadCpuTime();
    String end;
    long compiledNanos = 0;
    try {
      Budget budget = Budget.defaults();
      Grammar grammar = GrammarCompiler.compile(bomb, budget);
      TokenGrammar.prepare(grammar, trie, budget);
      compiledNanos = threads.getCurrentThreadCpuTime() - start;
      end = "ok, %d KiB".formatted(grammar.bytes() >> 10);
      end += sampled(new TokenGrammar(grammar, trie, new MaskStore(STORE_BYTES)));
    } catch (GrammarException refused) {
      String text = String.valueOf(refused.getMessage());
      end = "refused: " + text.substring(0, Math.min(140, text.length())).replace('\n', ' ');
    } catch (OutOfMemoryError full) {
      end = "OUT OF MEMORY";
    } catch (StackOverflowError deep) {
      end = "STACK OVERFLOW";
    }
    long nanos = compiledNanos == 0 ? threads.getCurrentThreadCpuTime() - start : compiledNanos;
    System.out.printf(
        "%5d ms, %5d MiB allocated, %s: %s%n",
        nanos / 1_000_000, (threads.getCurrentThreadAllocatedBytes() - allocated) >> 20, name, end);
  }

  private static String sampled(TokenGrammar tokens) {
    Random random = new Random(7);
    GrammarState state = tokens.start();
    int steps = 0;
    try {
      for (; steps < STEPS && !state.mustEnd(); steps++) {
        long[] mask = tokens.allowed(state).clone();
        int token = -1;
        for (int tries = 0; tries < 100_000 && token < 0; tries++) {
          int one = random.nextInt(64 * mask.length);
          token = (mask[one >> 6] >>> one & 1) != 0 ? one : -1;
        }
        GrammarState next = token < 0 ? null : tokens.next(state, token);
        if (next == null) {
          return ", STUCK after " + steps;
        }
        state = next;
      }
    } catch (GrammarException ambiguous) {
      return ", given up after %d tokens: %s".formatted(steps, ambiguous.getMessage());
    }
    return ", %d tokens, states of %d KiB".formatted(steps, tokens.bytes() >> 10);
  }
}
