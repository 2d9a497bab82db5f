package io.verdier.conf;

/** Where a value came from. */
public sealed interface Origin {

  /**
   * A command-line argument.
   *
   * @param position counted from 1, in the command line as it was given
   */
  record Argument(int position) implements Origin {}

  /** An environment variable. */
  record Variable(String name) implements Origin {}

  /** A key of the configuration file. */
  record FileKey(String file, String key) implements Origin {}

  /** The configuration file as a whole, or a line of it. */
  record FileLine(String file, int line) implements Origin {}

  /** Nobody gave one. */
  record Default() implements Origin {}

  /** The origin in a reader's words. */
  default String text() {
    return switch (this) {
      case Argument(int position) -> "argument " + position;
      case Variable(String name) -> "environment variable " + name;
      case FileKey(String file, String key) -> file + ", key " + key;
      case FileLine(String file, int line) -> line > 0 ? file + ", line " + line : file;
      case Default() -> "default";
    };
  }
}
