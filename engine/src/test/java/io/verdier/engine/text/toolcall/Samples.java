package io.verdier.engine.text.toolcall;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Texts as models write them, well formed and not, with what they must give. */
final class Samples {
  private Samples() {}

  /** The functions that the samples call. */
  static final Tools TOOLS =
      Tools.of(
          List.of(
              tool("get_weather", Map.of("city", type("string"), "days", type("integer"))),
              tool("f", Map.of()),
              tool("add", Map.of("a", type("number"), "b", type("number"))),
              tool(
                  "plan",
                  Map.of(
                      "stops", type("array"),
                      "options", type("object"),
                      "fast", type("boolean"),
                      "note", Map.of("anyOf", List.of(type("string"), type("null"))))),
              tool("code_interpreter", Map.of("code", type("string")))));

  /** A text and what must come of it, as {@link Heard} shows it: the content, then the calls. */
  record Sample(ToolCallFormat format, String text, String expected) {}

  private static Map<String, Object> type(String name) {
    return Map.of("type", name);
  }

  private static Map<String, Object> tool(String name, Map<String, Object> properties) {
    return Map.of(
        "type",
        "function",
        "function",
        Map.of("name", name, "parameters", Map.of("type", "object", "properties", properties)));
  }

  static List<Sample> all() {
    List<Sample> samples = new ArrayList<>();
    llama(samples);
    llamaBroken(samples);
    llamaTags(samples);
    pythonic(samples);
    marked(samples);
    list(samples);
    mistral(samples);
    qwen(samples);
    deepSeek(samples);
    for (ToolCallFormat format : ToolCallFormat.values()) {
      for (String plain : PLAIN) {
        samples.add(new Sample(format, plain, plain));
      }
    }
    return samples;
  }

  /** Content in every format. */
  private static final List<String> PLAIN =
      List.of(
          "",
          " ",
          "\n\n",
          "A car is a road vehicle.",
          "  two blanks, and two behind  ",
          "Ünïcode 🐦 and \"quotes\" {not json} [nor a list] <b>nor a tag</b>",
          "{\"city\": \"Paris\", \"name\": \"get_weather\"}",
          "{\"name\": \"Alice\", \"parameters\": {\"age\": 30}}",
          "{\"result\": {\"name\": \"f\", \"arguments\": {}}}",
          "[1, 2, 3]",
          "[unknown(a=1)]",
          "<tool",
          "<tool_call",
          "<tool_call>",
          "<tool_call>never closed",
          "[TOOL_CALLS]",
          "[TOOL_CALLS] and then prose",
          "<｜tool▁calls▁begin｜>",
          "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>nobody\n```json\n{}",
          "<|action_start|><|plugin|>{\"name\": \"nobody\", \"parameters\": {}}",
          "functools is a module",
          "functools[]",
          "<|python_tag|>",
          "<function=",
          "<function=nobody>{}</function>",
          "if (a < b) { return \"x\"; }",
          "</tool_call></function>");

  private static void add(
      List<Sample> samples, ToolCallFormat format, String text, String expected) {
    samples.add(new Sample(format, text, expected));
  }

  private static void llama(List<Sample> samples) {
    ToolCallFormat llama = ToolCallFormat.LLAMA3;
    String paris = "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Paris\"}}";
    add(samples, llama, paris, " | get_weather{\"city\": \"Paris\"}");
    add(samples, llama, "\n " + paris + " \n", " | get_weather{\"city\": \"Paris\"}");
    add(
        samples,
        llama,
        paris + "; " + paris.replace("Paris", "Rome"),
        " | get_weather{\"city\": \"Paris\"} | get_weather{\"city\": \"Rome\"}");
    add(
        samples,
        llama,
        "[" + paris + ",\n" + paris + "]",
        " | get_weather{\"city\": \"Paris\"} | get_weather{\"city\": \"Paris\"}");
    add(
        samples,
        llama,
        "Let me look. " + paris + " Done.",
        "Let me look.  Done. | get_weather{\"city\": \"Paris\"}");
    add(
        samples,
        llama,
        "{\"type\": \"function\", \"arguments\": {\"a\": [1, {\"b\": \"}\\\"\"}]}, \"name\":"
            + " \"f\"}",
        " | f{\"a\": [1, {\"b\": \"}\\\"\"}]}");
    add(
        samples,
        llama,
        "{\"name\": \"f\", \"parameters\": \"{\\\"a\\\": \\\"\\u00e9\\\"}\"}",
        " | f{\"a\": \"é\"}");
    add(samples, llama, "{\"name\": \"f\", \"parameters\": null}", " | f{}");
    add(samples, llama, "{\"name\": \"f\", \"parameters\": {}}", " | f{}");
    add(samples, llama, "{\"name\": \"f\", \"parameters\": { } , \"x\": 1e-3}", " | f{ }");
    add(samples, llama, "<function=f>{\"a\": 1}</function>", " | f{\"a\": 1}");
    add(
        samples,
        llama,
        "[get_weather(city='Paris', days=2), f()]",
        " | get_weather{\"city\": \"Paris\", \"days\": 2} | f{}");
    add(samples, llama, "<" + paris, "< | get_weather{\"city\": \"Paris\"}");
  }

  private static void llamaBroken(List<Sample> samples) {
    ToolCallFormat llama = ToolCallFormat.LLAMA3;
    add(samples, llama, "{\"name\": \"f\"}", "{\"name\": \"f\"}");
    add(
        samples,
        llama,
        "{\"name\": \"f\", \"parameters\": [1]}",
        "{\"name\": \"f\", \"parameters\": [1]}");
    add(
        samples,
        llama,
        "{\"name\": \"f\", \"parameters\": {",
        "{\"name\": \"f\", \"parameters\": {");
    add(
        samples,
        llama,
        "{\"name\": \"f\", \"parameters\": {bad",
        "{\"name\": \"f\", \"parameters\": {bad");
    add(samples, llama, "{\"name\": \"f\", \"parameters\": {\"a\": \"é🐦", " | f{\"a\": \"é🐦!");
    add(samples, llama, "{\"name\": \"f\", \"parameters\": {\"a\": x}}", "x}} | f{\"a\": !");
    add(samples, llama, "{\"name\": \"f\", \"parameters\": {\"a\": 1}", " | f{\"a\": 1}");
    add(
        samples,
        llama,
        "{\"name\": \"f\", \"parameters\": {\"a\": 1}; tail",
        "; tail | f{\"a\": 1}");
    add(samples, llama, "{ {\"name\": \"f\", \"parameters\": {}}", "{  | f{}");
  }

  private static void llamaTags(List<Sample> samples) {
    ToolCallFormat llama = ToolCallFormat.LLAMA3;
    String tag = "<|python_tag|>";
    add(samples, llama, tag + "{\"name\": \"f\", \"parameters\": {\"a\": 1}}", " | f{\"a\": 1}");
    add(
        samples,
        llama,
        tag + "{\"name\": \"x\", \"parameters\": {}}",
        tag + "{\"name\": \"x\", \"parameters\": {}}");
    add(
        samples,
        llama,
        tag + "brave_search.call(query=\"greenfinch \\\"song\\\"\")",
        " | brave_search{\"query\": \"greenfinch \\\"song\\\"\"}");
    add(
        samples,
        llama,
        tag + "wolfram_alpha.call(query=\"2+2\")",
        " | wolfram_alpha{\"query\": \"2+2\"}");
    add(
        samples,
        llama,
        tag + "import math\nprint(\"x\\n\")",
        " | code_interpreter{\"code\": \"import math\\nprint(\\\"x\\\\n\\\")\"}");
    add(samples, llama, tag + "x", " | code_interpreter{\"code\": \"x\"}");
    add(samples, llama, tag + "# 1", " | code_interpreter{\"code\": \"# 1\"}");
    add(samples, llama, tag + "[f(), f(a=1)]", " | f{} | f{\"a\": 1}");
  }

  private static void pythonic(List<Sample> samples) {
    ToolCallFormat format = ToolCallFormat.PYTHONIC;
    add(samples, format, "[f()]", " | f{}");
    add(samples, format, " [ f ( ) ]", " [ f ( ) ]");
    add(
        samples,
        format,
        "[f(a=True, b=None, c=[1, -2.5, .5, 3.], d={'k': 'v', \"n\": (1,)}, e=False)]",
        " | f{\"a\": true, \"b\": null, \"c\": [1, -2.5, 0.5, 3.0], \"d\": {\"k\": \"v\", \"n\":"
            + " [1]}, \"e\": false}");
    add(
        samples,
        format,
        "[f(a='it\\'s \"x\"\\n\\t\\x41\\u00e9\\\\\\q', ), add(a=1_000, b=0xff)]",
        " | f{\"a\": \"it's \\\"x\\\"\\n\\tAé\\\\\\\\q\"} | add{\"a\": 1000, \"b\": 255}");
    add(samples, format, "[f(a=1), f(b=2)] and text", " and text | f{\"a\": 1} | f{\"b\": 2}");
    add(samples, format, "[f(a=1), nobody(b=2)]", ", nobody(b=2)] | f{\"a\": 1}");
    add(samples, format, "[f(a=Paris)]", "Paris)] | f{\"a\": !");
    add(samples, format, "[f(a=1", "1 | f{\"a\": !");
    add(samples, format, "[f(a='x', ", " | f{\"a\": \"x\"!");
    add(samples, format, "[f(1)]", "[f(1)]");
    add(samples, format, "f(a=1)", "f(a=1)");
    add(samples, format, "<|python_start|>[f(a='🐦')]<|python_end|>", " | f{\"a\": \"🐦\"}");
    add(samples, format, "[f(a={}, b=[], c='')]", " | f{\"a\": {}, \"b\": [], \"c\": \"\"}");
  }

  private static void marked(List<Sample> samples) {
    ToolCallFormat hermes = ToolCallFormat.HERMES;
    String call =
        "{\"name\": \"f\", \"arguments\": {\"a\": {\"b\": [true, null, \"<tool_call>\"]}}}";
    String said = " | f{\"a\": {\"b\": [true, null, \"<tool_call>\"]}}";
    add(samples, hermes, "<tool_call>\n" + call + "\n</tool_call>", said);
    add(samples, hermes, "<tool_call>" + call, said);
    add(
        samples,
        hermes,
        "\n\n<tool_call>\n" + call + "\n</tool_call>\n<tool_call>\n" + call + "\n</tool_call>\n",
        said + said);
    add(samples, hermes, "Sure.\n<tool_call>" + call + "</tool_call> Bye", "Sure.\n Bye" + said);
    add(samples, hermes, "<tool_call>{\"name\": \"f\"}</tool_call>", " | f{}");
    add(samples, hermes, "<tool_call>{bad}</tool_call>x", "<tool_call>{bad}</tool_call>x");
    add(
        samples,
        hermes,
        "<tool_call>{bad}</tool_call><tool_call>" + call + "</tool_call>",
        "<tool_call>{bad}</tool_call>" + said);
    add(samples, hermes, "<<tool_call>" + call + "</tool_call>", "<" + said);
    add(samples, ToolCallFormat.GRANITE, "<|tool_call|>[" + call + ", " + call + "]", said + said);
    add(samples, ToolCallFormat.GRANITE, "<tool_call>[" + call + "]", said);
    add(samples, ToolCallFormat.PHI4_MINI, "functools[" + call + "]", said);
    add(
        samples,
        ToolCallFormat.PHI4_MINI,
        "functools[" + call + ", " + call + "] ok",
        " ok" + said + said);
    add(
        samples,
        ToolCallFormat.INTERNLM,
        "I search.<|action_start|><|plugin|>\n" + call + "<|action_end|>\n",
        "I search." + said);
  }

  private static void list(List<Sample> samples) {
    ToolCallFormat format = ToolCallFormat.LIST;
    String call = "{\"name\": \"f\", \"parameters\": {\"a\": 1}}";
    add(samples, format, "[" + call + "]", " | f{\"a\": 1}");
    add(samples, format, " [\n" + call + " ,\n" + call + " ]\n", " | f{\"a\": 1} | f{\"a\": 1}");
    add(
        samples,
        format,
        "[" + call + ", {\"name\": \"f\", \"parameters\": {\"a\": ",
        " | f{\"a\": 1} | f{\"a\": !");
  }

  private static void mistral(List<Sample> samples) {
    ToolCallFormat format = ToolCallFormat.MISTRAL;
    String call = "{\"name\": \"f\", \"arguments\": {\"a\": 1}}";
    add(samples, format, "[TOOL_CALLS] [" + call + "]", " | f{\"a\": 1}");
    add(
        samples,
        format,
        "[TOOL_CALLS][" + call + ", " + call + "]",
        " | f{\"a\": 1} | f{\"a\": 1}");
    add(samples, format, "Hm [TOOL_CALLS]" + call, "Hm  | f{\"a\": 1}");
    add(
        samples,
        format,
        "[TOOL_CALLS]f[ARGS]{\"a\": 1}[TOOL_CALLS]add[CALL_ID]123456789[ARGS]{\"b\": 2}",
        " | f{\"a\": 1} | add{\"b\": 2}");
    add(samples, format, "[TOOL_CALLS]f{\"a\": \"\\u00e9\"}", " | f{\"a\": \"\\u00e9\"}");
    add(
        samples,
        format,
        "[TOOL_CALLS]nobody[ARGS]{\"a\": 1}",
        "[TOOL_CALLS]nobody[ARGS]{\"a\": 1}");
    add(samples, format, "[TOOL_CALLS][" + call, " | f{\"a\": 1}");
    add(samples, format, "[TOOL_CALLS][{\"name\"", "[TOOL_CALLS][{\"name\"");
  }

  private static void qwen(List<Sample> samples) {
    ToolCallFormat format = ToolCallFormat.QWEN3_CODER;
    String head = "<tool_call>\n<function=get_weather>\n";
    String tail = "</function>\n</tool_call>";
    String city = "<parameter=city>\nParis\n</parameter>\n";
    add(samples, format, head + city + tail, " | get_weather{\"city\": \"Paris\"}");
    add(
        samples,
        format,
        "Well.\n" + head + city + "<parameter=days>\n3\n</parameter>\n" + tail + "\n",
        "Well.\n | get_weather{\"city\": \"Paris\", \"days\": 3}");
    add(
        samples,
        format,
        head + tail + "\n" + head + city + tail,
        " | get_weather{} | get_weather{\"city\": \"Paris\"}");
    add(
        samples,
        format,
        "<function=plan>\n"
            + "<parameter=stops>\n"
            + "[\"a\", 'b']\n"
            + "</parameter>\n"
            + "<parameter=options>{\"x\":"
            + " 1}</parameter><parameter=fast>True</parameter><parameter=note>null</parameter><parameter=other>\n"
            + "line <1>\n\n"
            + "\"two\"\n\n"
            + "</parameter></function>",
        " | plan{\"stops\": [\"a\", \"b\"], \"options\": {\"x\": 1}, \"fast\": true, \"note\":"
            + " null, \"other\": \"line <1>\\n"
            + "\\n"
            + "\\\"two\\\"\\n"
            + "\"}");
    add(samples, format, head + "<parameter=city>\nPar", " | get_weather{\"city\": \"Par!");
    add(samples, format, head + "<parameter=days>\n4", " | get_weather{\"days\": 4!");
    add(
        samples,
        format,
        head + "<parameter=days>\nfour</parameter>" + tail,
        " | get_weather{\"days\": \"four\"}");
    add(
        samples,
        format,
        head + "<parameter=city>Paris<parameter=days>1</function>",
        " | get_weather{\"city\": \"Paris\", \"days\": 1}");
    add(samples, format, head + "what?" + tail, head + "what?" + tail);
    add(samples, format, head + city + "what?", "what? | get_weather{\"city\": \"Paris\"!");
    add(
        samples,
        format,
        "<tool_call>\n<function=nobody>\n</function>\n</tool_call>",
        "<tool_call>\n<function=nobody>\n</function>\n</tool_call>");
  }

  private static void deepSeek(List<Sample> samples) {
    ToolCallFormat format = ToolCallFormat.DEEPSEEK_V3;
    String begin =
        "<｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{\"a\": 1}\n```<｜tool▁call▁end｜>";
    add(samples, format, "<｜tool▁calls▁begin｜>" + begin + "<｜tool▁calls▁end｜>", " | f{\"a\": 1}");
    add(
        samples,
        format,
        "Yes.<｜tool▁calls▁begin｜>" + begin + "\n" + begin + "<｜tool▁calls▁end｜>",
        "Yes. | f{\"a\": 1} | f{\"a\": 1}");
    add(
        samples,
        format,
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"a\":"
            + " \"🐦\"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        " | f{\"a\": \"🐦\"}");
    add(samples, format, "<｜tool▁calls▁begin｜>no", "<｜tool▁calls▁begin｜>no");
    add(samples, format, begin.substring(0, begin.indexOf("1")), " | f{\"a\": !");
    add(
        samples,
        format,
        begin.substring(0, begin.indexOf("json")),
        begin.substring(0, begin.indexOf("json")));
  }
}
