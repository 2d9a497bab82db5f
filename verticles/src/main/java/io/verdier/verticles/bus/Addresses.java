package io.verdier.verticles.bus;

/** Who can be spoken to. An address says who, never where. Immutable. */
public final class Addresses {
  /** {@link ServerState}, published; every HTTP instance listens. */
  public static final String STATE = "verdier.state";

  /** {@link Tokenized}, {@link Cancel}, {@link Control} and {@link DiskResults}. */
  public static final String SCHEDULER = "verdier.scheduler";

  /** {@link StepDone}. */
  public static final String STEP_DONE = "verdier.scheduler.done";

  /** {@link ExecuteStep}, {@link LendAdapter}, {@link RecallAdapter}, {@link VacateCache}. */
  public static final String EXECUTOR = "verdier.executor";

  /** {@link CompileQuery}. */
  public static final String GRAMMAR = "verdier.grammar";

  /** {@link Abort}, published; every HTTP instance listens. */
  public static final String ABORTS = "verdier.aborts";

  /** {@link StoredResponse} and queries for them; nobody is there where nothing is stored. */
  public static final String RESPONSES = "verdier.responses";

  /**
   * Where there is a cluster: all that the scheduler and the tokenizers are told without one, from
   * HTTP; {@link NodesQuery} and {@link DrainNode}.
   */
  public static final String CLUSTER = "verdier.cluster";

  /** {@link ResolveModel}. */
  public static final String CACHE = "verdier.cache";

  /**
   * {@link AdapterQuery}, {@link AdapterRelease}, {@link LoadAdapter} and {@link UnloadAdapter};
   * nobody is there where adapters are not served.
   */
  public static final String ADAPTERS = "verdier.adapters";

  /** {@link AdapterNames}, published; every HTTP instance listens. */
  public static final String ADAPTER_NAMES = "verdier.adapters.names";

  /** {@link DiskTasks} that read; nobody is there without a disk tier. */
  public static final String DISK_READS = "verdier.disk.reads";

  /** {@link DiskTasks} that write and erase. */
  public static final String DISK_WRITES = "verdier.disk.writes";

  private Addresses() {}

  /** {@link Deltas} for one HTTP instance. */
  public static String http(int instance) {
    return "verdier.http." + instance;
  }

  /**
   * {@link Submit}, {@link TokenizeQuery}, {@link DetokenizeQuery} and {@link Cancel} for one
   * tokenizer: a sequence's {@code Cancel} must find the one that has its {@code Submit}.
   */
  public static String tokenizer(int instance) {
    return "verdier.tokenizer." + instance;
  }

  /** {@link Emissions} for one detokenizer shard. */
  public static String detokenizer(int shard) {
    return "verdier.detokenizer." + shard;
  }
}
