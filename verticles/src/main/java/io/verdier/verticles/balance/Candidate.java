package io.verdier.verticles.balance;

/** An engine that could take a request, as the choice sees it. */
public interface Candidate {

  /** How many of a prompt's prefixes it has lately read, the shortest ones first. */
  int known(long[] prefixes);

  /** Sequences that it has; those that wait for blocks count twice. */
  int load();

  /** Cost that is there for other reasons, in characters. */
  default long doubt() {
    return 0;
  }
}
