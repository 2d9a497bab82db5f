package io.verdier.engine.schedule;

/** Where prefixes are forgotten. */
public enum Reach {
  /** In the KV cache; what lies behind it is found again. */
  DEVICE,
  /** In host memory, on the disk and at cache nodes as well. */
  ALL_TIERS
}
