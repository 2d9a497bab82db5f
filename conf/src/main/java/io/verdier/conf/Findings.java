package io.verdier.conf;

import java.util.ArrayList;
import java.util.List;

/**
 * What reading the configuration has to tell, collected so that the operator sees all of it at
 * once. Owned by the thread that loads.
 */
final class Findings {
  private final List<Problem> problems = new ArrayList<>();
  private final List<String> notices = new ArrayList<>();

  void problem(Origin origin, String message) {
    Problem problem = new Problem(origin, message);
    if (!problems.contains(problem)) { // several models may have it
      problems.add(problem);
    }
  }

  void notice(String line) {
    if (!notices.contains(line)) {
      notices.add(line);
    }
  }

  List<Problem> problems() {
    return List.copyOf(problems);
  }

  List<String> notices() {
    return List.copyOf(notices);
  }
}
