package io.verdier.verticles.bench;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

class RequestTraceTest {

  @Test
  void onData_chat_countsPiecesWithTextOnly() {
    RequestTrace trace = new RequestTrace(100, 2);
    give(trace, 110, "{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}");
    give(trace, 120, "{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}");
    give(trace, 130, "{\"choices\":[{\"delta\":{\"content\":\"b\"}}]}");
    give(trace, 140, "{\"choices\":[{\"delta\":{\"content\":\"\"}}]}"); // half a character
    give(trace, 150, "{\"choices\":[{\"delta\":{\"content\":\"c\"}}]}");
    give(trace, 160, "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}");
    give(trace, 170, "{\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":5}}");
    give(trace, 180, "[DONE]");
    trace.onEnd();
    assertThat(trace.error()).isNull();
    assertThat(trace.startNanos()).isEqualTo(100);
    assertThat(trace.pieces()).isEqualTo(4);
    assertThat(trace.pieceNanos(0)).isEqualTo(120);
    assertThat(trace.pieceNanos(3)).isEqualTo(150);
    assertThat(trace.promptTokens(1)).isEqualTo(9);
    assertThat(trace.outputTokens()).isEqualTo(5);
  }

  @Test
  void onData_completionWithoutUsage_countsPieces() {
    RequestTrace trace = new RequestTrace(0, 1);
    for (int i = 0; i < 1000; i++) {
      give(trace, i, "{\"choices\":[{\"text\":\"w" + i + "\"}]}");
    }
    give(trace, 1000, "{\"choices\":[{\"text\":\"end\",\"finish_reason\":\"length\"}]}");
    give(trace, 1000, "[DONE]");
    trace.onEnd();
    assertThat(trace.error()).isNull();
    assertThat(trace.pieces()).isEqualTo(1001);
    assertThat(trace.outputTokens()).isEqualTo(1001);
    assertThat(trace.promptTokens(7)).isEqualTo(7);
    assertThat(trace.pieceNanos(999)).isEqualTo(999);
  }

  @Test
  void onData_longPieces_areParsedWhole() {
    RequestTrace trace = new RequestTrace(0, 1);
    give(trace, 1, "{\"choices\":[{\"text\":\"a\"}]}");
    String wide = "{\"pad\":\"" + "p".repeat(5000) + "\",\"choices\":[{\"text\":\"b\"}]}";
    give(trace, 2, wide);
    give(trace, 3, "[DONE]");
    trace.onEnd();
    assertThat(trace.error()).isNull();
    assertThat(trace.pieces()).isEqualTo(2);
  }

  @Test
  void onData_reasoning_isText() {
    RequestTrace trace = new RequestTrace(0, 1);
    give(trace, 5, "{\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}");
    assertThat(trace.pieces()).isEqualTo(1);
  }

  @Test
  void onEnd_errorInTheStream_fails() {
    RequestTrace nested = new RequestTrace(0, 1);
    give(nested, 1, "{\"choices\":[{\"text\":\"a\"}]}");
    give(nested, 2, "{\"error\":{\"message\":\"it broke\",\"code\":500}}");
    give(nested, 3, "[DONE]");
    nested.onEnd();
    assertThat(nested.error()).isEqualTo("the server ended the stream: it broke");
    RequestTrace flat = new RequestTrace(0, 1);
    give(flat, 2, "{\"object\":\"error\",\"message\":\"too long\"}");
    flat.onEnd();
    assertThat(flat.error()).isEqualTo("the server ended the stream: too long");
  }

  @Test
  void onEnd_withoutDoneOrText_fails() {
    RequestTrace cut = new RequestTrace(0, 1);
    give(cut, 1, "{\"choices\":[{\"text\":\"a\"}]}");
    cut.onEnd();
    assertThat(cut.error()).isEqualTo("the stream ended before [DONE]");
    RequestTrace mute = new RequestTrace(0, 1);
    give(mute, 1, "[DONE]");
    mute.onEnd();
    assertThat(mute.error()).isEqualTo("the answer has no text");
    RequestTrace broken = new RequestTrace(0, 1);
    give(broken, 1, "{\"choi");
    broken.onEnd();
    assertThat(broken.error()).isEqualTo("a piece of the stream is not a JSON object");
  }

  static void give(RequestTrace trace, long nanos, String payload) {
    byte[] bytes = ("data: " + payload).getBytes(StandardCharsets.UTF_8);
    trace.at(nanos);
    trace.onData(bytes, 6, bytes.length);
  }
}
