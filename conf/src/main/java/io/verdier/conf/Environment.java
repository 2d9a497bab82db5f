package io.verdier.conf;

import java.util.Map;

/** The process environment. The only place in the project that reads it. No state. */
public final class Environment {
  private Environment() {}

  /** The variables of this process, unmodifiable. */
  public static Map<String, String> ofProcess() {
    return System.getenv();
  }
}
