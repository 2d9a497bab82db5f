package io.verdier.verticles.observe;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.api.Test;

class TraceOnlyTest {
  @Test
  void print_failureQuotingAUser_classesAndFramesWithoutTheMessage() {
    Throwable failure =
        new IllegalStateException("a secret", new NoClassDefFoundError("another secret"));
    StringWriter text = new StringWriter();
    new TraceOnly(failure).printStackTrace(new PrintWriter(text, true));
    assertThat(text.toString())
        .doesNotContain("secret")
        .contains("java.lang.IllegalStateException")
        .contains("java.lang.NoClassDefFoundError")
        .contains("at " + TraceOnlyTest.class.getName());
  }

  @Test
  void new_causesInACircle_ends() {
    Exception one = new Exception("one");
    one.initCause(new Exception("two", one));
    assertThat(new TraceOnly(one)).hasMessage("java.lang.Exception");
  }
}
