package io.verdier.conf;

import java.util.List;
import java.util.Set;

/**
 * The words before the flags that start Python's server, which deployed command lines carry along:
 * {@code python -m vllm.entrypoints.api_server}, {@code vllm serve}, a launcher script in front.
 *
 * @param length elements to skip
 * @param module the Python module named, or empty
 */
record LaunchPrefix(int length, String module) {
  private static final Set<String> PYTHON_OPTIONS = Set.of("-u", "-m", "-O", "-I");

  static LaunchPrefix of(List<String> argv) {
    int at = 0;
    while (at < argv.size() && argv.get(at).endsWith(".sh")) {
      at++;
    }
    boolean python = at < argv.size() && program(argv.get(at)).matches("python[0-9.]*");
    if (python) {
      at++;
    }
    while (at < argv.size() && isPythonOption(argv, at, python)) {
      at++;
    }
    if (at < argv.size() && argv.get(at).startsWith("vllm.")) {
      return new LaunchPrefix(at + 1, argv.get(at));
    }
    if (at < argv.size() && program(argv.get(at)).equals("vllm")) {
      at++;
    }
    if (at < argv.size() && argv.get(at).equals("serve")) {
      at++;
    }
    return new LaunchPrefix(at, "");
  }

  /** Where the container's command is a Python shim, the arguments may start with {@code -m}. */
  private static boolean isPythonOption(List<String> argv, int at, boolean python) {
    return python ? PYTHON_OPTIONS.contains(argv.get(at)) : argv.get(at).equals("-m");
  }

  private static String program(String path) {
    return path.substring(path.lastIndexOf('/') + 1);
  }
}
