package io.verdier.engine.grammar;

import io.verdier.engine.grammar.GrammarState.Place;
import org.jspecify.annotations.Nullable;

/**
 * A grammar over the tokens of a vocabulary: where a text stands after any tokens, and which may
 * follow. Owned by one thread.
 *
 * <p><b>Masks.</b> Whether a token may follow hardly ever depends on who called the rule that is
 * being matched: most tokens fit into the rule, or break it, whoever called. So the walk through
 * the vocabulary's tree is done once for a state of a rule, without its callers, and gives two
 * things: the tokens that fit, and the nodes of the tree at which the rule is complete and tokens
 * go on, of which the callers decide. A mask is the union of the sets of its places, and what the
 * callers let follow behind those nodes. (XGrammar calls the tokens context-independent and
 * dependent; Dong et al., 2024.)
 *
 * <p><b>Running text.</b> Where most characters lead back to the same state, the walk meets only
 * the tokens that leave it; the rest is a {@link ContentSet}.
 *
 * <p><b>Counted repetitions.</b> Every count is a state of its own, but no token of a few bytes
 * tells counts apart from which no limit can be reached. Their mask is that of the state with its
 * counts {@link GrammarState.Caller#far far} from limits; nearer to one, only the tokens that are
 * long enough to reach it are tried one by one.
 *
 * <p>Where the characters of a text are counted beside its automaton, its callers matter at each:
 * its masks are those of the state as it is.
 *
 * <p>Masks are kept in a store of bounded size. What one call may cost is bounded too, see {@link
 * Effort}.
 */
public final class TokenGrammar {
  /** Tokens to be tried one by one, for less than what a walk through the vocabulary costs. */
  private static final int TRIED_MAX = 4096;

  /** Tokens behind nodes at which a rule is complete, beyond which a state is walked as it is. */
  private static final int OPEN_MAX = 16_384;

  /** Token ids beyond which a set of bits is smaller. */
  private static final int LISTED_MAX = 1024;

  /** What keeping a state may keep with it, about. */
  private static final int STATE_BYTES = 500;

  /** States looked at beforehand. */
  private static final int PREPARED_MAX = 2048;

  private final StateSpace space;
  private final TokenTrie trie;
  private final MaskStore store;
  private final TokenWalk walk;
  private final ForcedText forced;

  /** Under which the token that must follow a state, by its key, is kept. */
  private record Spelled(Object key) {}

  /** Under which the mask of one token is kept. */
  private record Only(int token) {}

  /**
   * The tokens that may follow a place.
   *
   * @param content running text whose tokens may all follow; null: none
   * @param bits further tokens, {@code [vocabulary / 64]}; null: none
   * @param listed ids of further tokens
   * @param open nodes at which the rule is complete and tokens go on
   * @param isWide whether that is so for most of the vocabulary; then they are not listed
   * @param cost of finding them, as {@link Effort} counts
   */
  private record Fit(
      @Nullable ContentSet content,
      long @Nullable [] bits,
      int[] listed,
      int[] open,
      boolean isWide,
      int cost) {
    private static final int[] NONE = {};

    long bytes() {
      return 64 + (bits == null ? 0 : 8L * bits.length) + 4L * (listed.length + open.length);
    }

    void addTo(long[] mask) {
      if (content != null) {
        content.addTo(mask);
      }
      for (int i = 0; bits != null && i < bits.length; i++) {
        mask[i] |= bits[i];
      }
      for (int token : listed) {
        mask[token >> 6] |= 1L << token;
      }
    }
  }

  /** With a store of its own. */
  public TokenGrammar(Grammar grammar, TokenTrie trie) {
    this(grammar, trie, new MaskStore());
  }

  /**
   * @param store of all grammars of a thread
   */
  public TokenGrammar(Grammar grammar, TokenTrie trie, MaskStore store) {
    this(new StateSpace(grammar), trie, store);
  }

  /** In a space of one's own. */
  TokenGrammar(StateSpace space, TokenTrie trie, MaskStore store) {
    this.space = space;
    this.trie = trie;
    this.store = store;
    walk = new TokenWalk(space, trie);
    forced = new ForcedText(space, trie);
  }

  /**
   * Makes what all grammars over a vocabulary share and this one is the first to need, on whatever
   * thread compiles it: some milliseconds, that the owner's thread is spared.
   *
   * @throws GrammarException if that takes more than the budget has
   */
  public static void prepare(Grammar grammar, TokenTrie trie, Budget budget) {
    TokenGrammar trial = new TokenGrammar(grammar, trie);
    int states = 0;
    for (int i = 0; i < grammar.ruleCount(); i++) {
      ByteDfa rule = grammar.rule(i);
      for (int s = 0; s < rule.states() && states++ < PREPARED_MAX; s++) {
        Place alone = new Place(rule, s, Callers.NONE);
        budget.work(trial.running(trial.space.current(trial.space.at(alone))).cost);
      }
    }
  }

  /** What a token stands for; empty where it may never follow. Not to be changed. */
  public byte[] bytes(int token) {
    return trie.bytes(token);
  }

  /** Before the first token. */
  public GrammarState start() {
    return space.current(space.start());
  }

  /**
   * Behind one more token; null: it may not follow. A token without bytes never does.
   *
   * @throws GrammarException if the text has too many readings
   */
  public @Nullable GrammarState next(GrammarState state, int token) {
    byte[] bytes = trie.bytes(token);
    return bytes.length == 0 ? null : next(state, bytes);
  }

  /**
   * Behind more bytes; null: they may not follow.
   *
   * @throws GrammarException if the text has too many readings
   */
  public @Nullable GrammarState next(GrammarState state, byte[] bytes) {
    GrammarState at = state;
    for (byte value : bytes) {
      at = space.current(at);
      space.effort().begin();
      GrammarState next = space.next(at, value & 0xff);
      if (next == null) {
        return null;
      }
      at = next;
    }
    return at;
  }

  /**
   * Which tokens may follow, one bit a token id, lowest first; not to be changed. End tokens are
   * not among them: {@link GrammarState#mayEnd} speaks of those.
   *
   * @throws GrammarException if the text has too many readings
   */
  public long[] allowed(GrammarState state) {
    return mask(space.current(state));
  }

  /**
   * The bytes that must come next, wherever no other can: up to where the text may end, where there
   * is a choice, or {@link ForcedText#BYTES_MAX}. They may end within a character.
   *
   * @throws GrammarException if the text has too many readings
   */
  public byte[] forced(GrammarState state) {
    return forced.bytes(space.current(state));
  }

  /**
   * The token that must come next, where the bytes are forced and the vocabulary's own way to spell
   * them is certain; -1: one is to be chosen. A function of the state alone. The text may not end
   * there.
   *
   * @throws GrammarException if the text has too many readings
   */
  public int forcedToken(GrammarState state) {
    TokenTrie.Encoder encoder = trie.encoder();
    if (encoder == null || state.mayEnd() || !ForcedText.isForced(state)) {
      return ForcedText.NONE; // nearly always, and found out soon
    }
    GrammarState current = space.current(state);
    Spelled key = new Spelled(current.key());
    if (store.get(key) instanceof Integer known) {
      return known;
    }
    int token = forced.token(current, encoder);
    store.put(this, key, token, STATE_BYTES);
    return token;
  }

  /** The mask that lets one token follow, not to be changed. */
  public long[] only(int token) {
    Only key = new Only(token);
    if (store.get(key) instanceof long[] known) {
      return known;
    }
    long[] mask = new long[trie.words()];
    mask[token >> 6] = 1L << token;
    store.put(this, key, mask, 8L * mask.length);
    return mask;
  }

  /** Of the states it knows, about; masks are in the store. */
  public long bytes() {
    return space.bytes();
  }

  /** Forgets what it has kept in the store; it may be used on. */
  public void release() {
    store.forget(this);
  }

  private long[] mask(GrammarState state) {
    GrammarState alike = state.distance() > trie.depthMax() ? space.far(state) : state;
    Object key = alike.key();
    if (store.get(key) instanceof long[] known) {
      return known;
    }
    long[] mask = made(alike);
    store.put(this, key, mask, 8L * mask.length);
    return mask;
  }

  private long[] made(GrammarState state) {
    Place[] places = state.places();
    Fit[] fits = new Fit[places.length];
    long cost = 0;
    for (int i = 0; i < places.length; i++) {
      if (places[i].rule().counts() != null && places[i].callers().isCalled()) {
        return wide(space.current(state)); // callers count each of its characters
      }
      fits[i] = fit(places[i]);
      cost += fits[i].cost;
      space.effort().requireFew(cost);
      if (fits[i].isWide && places[i].callers().isCalled()) {
        return wide(space.current(state));
      }
    }
    places = space.current(state).places();
    space.effort().begin();
    long[] mask = new long[trie.words()];
    walk.begin();
    for (int i = 0; i < places.length; i++) {
      fits[i].addTo(mask);
      Callers callers = places[i].callers();
      if (callers.isCalled() && fits[i].open.length > 0) {
        GrammarState after = space.after(callers);
        for (int node : fits[i].open) {
          walk.below(node, after);
        }
      }
    }
    walk.addTo(mask);
    return mask;
  }

  /** As the state is, callers and all. */
  private long[] wide(GrammarState state) {
    Running running = running(state);
    space.effort().begin();
    space.effort().spend(running.cost);
    if (running.content != null) {
      long[] mask = running.content.mask(running.chain.length - 1);
      walk.begin();
      walk.leaving(running.content, running.chain);
      walk.addTo(mask);
      return mask;
    }
    int distance = state.distance();
    if (distance < GrammarState.FAR && trie.countFrom(distance) <= TRIED_MAX) {
      return near(state, distance);
    }
    walk.begin();
    walk.all(state);
    long[] mask = new long[trie.words()];
    walk.addTo(mask);
    return mask;
  }

  /** Where only long tokens reach a limit. */
  private long[] near(GrammarState state, int distance) {
    long[] mask = mask(space.far(state)).clone();
    GrammarState from = space.current(state);
    space.effort().begin();
    int count = trie.countFrom(distance);
    for (int i = 0; i < count; i++) {
      int token = trie.longest(i);
      long bit = 1L << token;
      boolean fits = reaches(from, trie.bytes(token));
      mask[token >> 6] = fits ? mask[token >> 6] | bit : mask[token >> 6] & ~bit;
    }
    return mask;
  }

  private boolean reaches(GrammarState from, byte[] bytes) {
    GrammarState at = from;
    for (int i = 0; at != null && i < bytes.length; i++) {
      at = space.next(at, bytes[i] & 0xff);
    }
    return at != null;
  }

  private Fit fit(Place place) {
    Place alone = new Place(place.rule(), place.state(), Callers.NONE);
    if (store.get(alone) instanceof Fit known) {
      return known;
    }
    Fit fit = fit(space.current(space.at(alone)));
    store.put(this, alone, fit, fit.bytes());
    return fit;
  }

  /**
   * @param alone without callers
   */
  private Fit fit(GrammarState alone) {
    Running running = running(alone);
    space.effort().begin();
    space.effort().spend(running.cost);
    walk.begin();
    boolean isWide = false;
    if (running.content == null) {
      walk.all(alone);
    } else {
      walk.leaving(running.content, running.chain);
      for (int i = 1; i < running.chain.length; i++) {
        isWide |= running.chain[i].mayEnd();
      }
    }
    isWide |= walk.openTokens() > OPEN_MAX;
    int[] open = isWide ? Fit.NONE : walk.open();
    long[] bits = null;
    ContentSet whole = null;
    if (running.content != null && running.chain.length > trie.depthMax()) {
      whole = running.content;
    } else if (running.content != null) {
      bits = running.content.mask(running.chain.length - 1);
    }
    int cost = space.effort().spent();
    if (bits == null && walk.foundCount() <= LISTED_MAX) {
      return new Fit(whole, null, walk.found(), open, isWide, cost);
    }
    bits = bits == null ? new long[trie.words()] : bits;
    walk.addTo(bits);
    return new Fit(whole, bits, Fit.NONE, open, isWide, cost);
  }

  /**
   * Text that a state is in.
   *
   * @param content null: it is in none
   * @param chain the states behind 0, 1 and more of its characters
   * @param cost of finding out, as {@link Effort} counts
   */
  private record Running(@Nullable ContentSet content, GrammarState[] chain, int cost) {}

  private Running running(GrammarState state) {
    space.effort().begin();
    ContentSet.Key key = ContentSet.keyOf(space, state);
    int cost = space.effort().spent();
    if (key == null) {
      return new Running(null, new GrammarState[0], cost);
    }
    ContentSet.Chain chain = ContentSet.chain(space, state, key, trie.depthMax());
    cost += chain.cost();
    return chain.states().length == 0
        ? new Running(null, chain.states(), cost)
        : new Running(trie.content(key), chain.states(), cost);
  }
}
