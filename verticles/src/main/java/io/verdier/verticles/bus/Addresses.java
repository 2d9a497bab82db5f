package io.verdier.verticles.bus;

/** Who can be spoken to. An address says who, never where. Immutable. */
public final class Addresses {
  /** {@link ServerState}, published; every HTTP instance listens. */
  public static final String STATE = "verdier.state";

  /** {@link Abort}, published; every HTTP instance listens. */
  public static final String ABORTS = "verdier.aborts";

  /**
   * {@link StoredResponse}, {@link BackgroundResponse} and queries for them; nobody is there where
   * nothing is stored.
   */
  public static final String RESPONSES = "verdier.responses";

  /**
   * Where there is a cluster: all that the scheduler and the tokenizers are told without one, from
   * HTTP; {@link NodesQuery} and {@link DrainNode}.
   */
  public static final String CLUSTER = "verdier.cluster";

  /** {@link AdapterNames}, published; every HTTP instance listens. */
  public static final String ADAPTER_NAMES = "verdier.adapters.names";

  /** {@link CacheNodes}, published; in a cluster every engine listens. */
  public static final String CACHE_NODES = "verdier.cache.nodes";

  /** {@link CacheRoom} of this node, to the cluster's actor. */
  public static final String CACHE_ROOM = "verdier.cache.room";

  /** {@link UpdateModels}; nobody is there in a cluster. */
  public static final String MODELS = "verdier.models";

  private Addresses() {}

  /** {@link CompileQuery} for one model of the node, by its number. */
  public static String grammar(int model) {
    return "verdier.grammar." + model;
  }

  /** {@link ResolveModel} for one model. */
  public static String cache(int model) {
    return "verdier.cache." + model;
  }

  /**
   * {@link AdapterQuery}, {@link AdapterRelease}, {@link LoadAdapter} and {@link UnloadAdapter} for
   * one model; nobody is there where adapters are not served.
   */
  public static String adapters(int model) {
    return "verdier.adapters." + model;
  }

  /**
   * {@link Tokenized}, {@link Cancel}, {@link Control}, {@link DiskResults} and {@link
   * RemoteResults} for one engine: the one that its sequences' keys name.
   */
  public static String scheduler(int engine) {
    return "verdier.scheduler." + engine;
  }

  /** {@link StepDone} of one engine. */
  public static String stepDone(int engine) {
    return "verdier.scheduler." + engine + ".done";
  }

  /**
   * {@link ExecuteStep}, {@link LendAdapter}, {@link RecallAdapter}, {@link GiveUpMemory} and
   * {@link RecallWeights} for one engine.
   */
  public static String executor(int engine) {
    return "verdier.executor." + engine;
  }

  /** {@link RemoteTasks} of one engine; nobody is there without a cluster. */
  public static String remote(int engine) {
    return "verdier.remote." + engine;
  }

  /** {@link DiskTasks} of one engine that read; nobody is there without a disk tier. */
  public static String diskReads(int engine) {
    return "verdier.disk." + engine + ".reads";
  }

  /** {@link DiskTasks} of one engine that write and erase. */
  public static String diskWrites(int engine) {
    return "verdier.disk." + engine + ".writes";
  }

  /** {@link Deltas} for one HTTP instance. */
  public static String http(int instance) {
    return "verdier.http." + instance;
  }

  /**
   * {@link Submit}, {@link TokenizeQuery}, {@link DetokenizeQuery} and {@link Cancel} for one
   * tokenizer of those of all models: a sequence's {@code Cancel} must find the one that has its
   * {@code Submit}.
   */
  public static String tokenizer(int instance) {
    return "verdier.tokenizer." + instance;
  }

  /** {@link Emissions} for one detokenizer shard. */
  public static String detokenizer(int shard) {
    return "verdier.detokenizer." + shard;
  }
}
