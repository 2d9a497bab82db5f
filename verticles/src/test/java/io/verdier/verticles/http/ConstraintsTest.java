package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.grammar.Constraint;
import io.verdier.engine.grammar.Constraint.JsonStyle;
import io.verdier.verticles.bus.Demand;
import java.net.http.HttpResponse;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** What requests may say of the form of their answers, on every route that generates. */
class ConstraintsTest {
  private static final JsonStyle USUAL = JsonStyle.USUAL;

  /** Bodies of each route, the last field open; and what its paths begin with. */
  private static final List<List<String>> ROUTES =
      List.of(
          List.of(
              "/v1/chat/completions", "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]", "}"),
          List.of("/v1/completions", "{\"prompt\":\"a\"", "}"),
          List.of("/generate", "{\"prompt\":\"a\"", "}"),
          List.of("/generate", "{\"instances\":[{\"prompt\":\"a\"", "}]}"),
          List.of(
              "/generate",
              "{\"@requestFormat\":\"chatCompletions\",\"messages\":[{\"role\":\"user\","
                  + "\"content\":\"a\"}]",
              "}"));

  private static final String SCHEMA = "{\"type\":\"object\",\"n\":[1,2.5,true,null,\"é\\\"\"]}";
  private static final String QUOTED =
      "\"" + SCHEMA.replace("\\", "\\\\").replace("\"", "\\\"") + "\"";
  private static final Constraint JSON = new Constraint.JsonSchema(SCHEMA, USUAL);
  private static final Constraint OBJECT = new Constraint.JsonObject(USUAL);
  private static final String TAG =
      "{\"type\":\"structural_tag\",\"structures\":[],\"triggers\":[\"<f\"]}";
  private static final String QUOTED_TAG = "\"" + TAG.replace("\"", "\\\"") + "\"";
  private static final Constraint TAGS = new Constraint.StructuralTag(TAG, USUAL);

  /** In the words of today. */
  private static final Map<String, Demand> FORMS =
      Map.ofEntries(
          form("response_format", "{\"type\":\"json_object\"}", OBJECT, ""),
          form(
              "response_format",
              "{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a\",\"strict\":true,"
                  + "\"description\":\"b\",\"schema\":"
                  + SCHEMA
                  + "}}",
              JSON,
              ".json_schema.schema"),
          form("response_format", TAG, TAGS, ""),
          form("structured_outputs", "{\"json\":" + SCHEMA + "}", JSON, ".json"),
          form("structured_outputs", "{\"json\":" + QUOTED + ",\"regex\":null}", JSON, ".json"),
          form(
              "structured_outputs",
              "{\"regex\":\"[a-z]+\"}",
              new Constraint.Regex("[a-z]+"),
              ".regex"),
          form(
              "structured_outputs",
              "{\"choice\":[\"a\",\"\"]}",
              new Constraint.Choice(List.of("a", "")),
              ".choice"),
          form(
              "structured_outputs",
              "{\"grammar\":\"root ::= \\\"a\\\"\"}",
              new Constraint.Rules("root ::= \"a\""),
              ".grammar"),
          form("structured_outputs", "{\"json_object\":true}", OBJECT, ".json_object"),
          form(
              "structured_outputs",
              "{\"structural_tag\":" + QUOTED_TAG + ",\"json_object\":false}",
              TAGS,
              ".structural_tag"),
          form(
              "structured_outputs",
              "{\"json_object\":true,\"disable_any_whitespace\":true,"
                  + "\"disable_additional_properties\":true,\"whitespace_pattern\":\"[ ]?\","
                  + "\"disable_fallback\":true}",
              new Constraint.JsonObject(new JsonStyle(true, "[ ]?", true)),
              ".json_object"));

  /** In those of before. */
  private static final Map<String, Demand> OLDER_FORMS =
      Map.ofEntries(
          form("guided_json", SCHEMA, JSON, ""),
          form("guided_json", QUOTED, JSON, ""),
          form("guided_regex", "\"a|b\"", new Constraint.Regex("a|b"), ""),
          form("guided_choice", "[\"x\"]", new Constraint.Choice(List.of("x")), ""),
          form("guided_grammar", "\"root: /a/\"", new Constraint.Rules("root: /a/"), ""),
          form("guided_json_object", "true,\"guided_decoding_backend\":\"outlines\"", OBJECT, ""),
          form(
              "guided_json_object",
              "true,\"guided_whitespace_pattern\":\" *\"",
              new Constraint.JsonObject(new JsonStyle(false, " *", false)),
              ""),
          form("structural_tag", QUOTED_TAG, TAGS, ""));

  private static HttpFixture server;

  @BeforeAll
  static void start() throws Exception {
    server = HttpFixture.start();
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  @Test
  void forms_each_becomeTheSameOnEveryRoute() throws Exception {
    check(FORMS);
    check(OLDER_FORMS);
  }

  private static void check(Map<String, Demand> forms) throws Exception {
    for (List<String> route : ROUTES) {
      for (Map.Entry<String, Demand> form : forms.entrySet()) {
        HttpResponse<String> response =
            server.post(route.get(0), route.get(1) + form.getKey() + route.get(2));
        assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
        Demand demand = server.engine.awaitSubmit().demand();
        assertThat(demand).as(form.getKey()).isNotNull();
        assertThat(demand.constraint()).as(form.getKey()).isEqualTo(form.getValue().constraint());
        assertThat(demand.parameter()).endsWith(form.getValue().parameter());
      }
    }
  }

  private static Map.Entry<String, Demand> form(
      String name, String value, Constraint constraint, String path) {
    return Map.entry(",\"" + name + "\":" + value, new Demand(constraint, name + path));
  }

  @Test
  void none_leavesTheAnswerFree() throws Exception {
    for (String free :
        List.of(
            "",
            ",\"response_format\":null",
            ",\"response_format\":{\"type\":\"text\"}",
            ",\"guided_json\":null,\"guided_json_object\":false",
            ",\"guided_decoding_backend\":\"auto\",\"guided_whitespace_pattern\":\"x\"")) {
      for (List<String> route : ROUTES) {
        HttpResponse<String> response =
            server.post(route.get(0), route.get(1) + free + route.get(2));
        assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
        assertThat(server.engine.awaitSubmit().demand()).as(free).isNull();
      }
    }
  }

  @Test
  void wrong_each_refusedWithItsName() throws Exception {
    for (List<String> bad :
        List.of(
            List.of("\"response_format\":\"json\"", "response_format"),
            List.of("\"response_format\":{}", "response_format.type"),
            List.of("\"response_format\":{\"type\":\"xml\"}", "response_format.type"),
            List.of("\"response_format\":{\"type\":3}", "response_format.type"),
            List.of(
                "\"response_format\":{\"type\":\"json_schema\"}", "response_format.json_schema"),
            List.of(
                "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a\"}}",
                "response_format.json_schema.schema"),
            List.of(
                "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"schema\":[]}}",
                "response_format.json_schema.schema"),
            List.of(
                "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":"
                    + "{\"schema\":{},\"strict\":2}}",
                "response_format.json_schema.strict"),
            List.of("\"structured_outputs\":[]", "structured_outputs"),
            List.of("\"structured_outputs\":{}", "structured_outputs"),
            List.of("\"structured_outputs\":{\"json_object\":false}", "structured_outputs"),
            List.of("\"structured_outputs\":{\"jsn\":{}}", "structured_outputs"),
            List.of("\"structured_outputs\":{\"json\":[1]}", "structured_outputs.json"),
            List.of("\"structured_outputs\":{\"regex\":{}}", "structured_outputs.regex"),
            List.of("\"structured_outputs\":{\"choice\":[]}", "structured_outputs.choice"),
            List.of("\"structured_outputs\":{\"choice\":[1]}", "structured_outputs.choice"),
            List.of("\"structured_outputs\":{\"choice\":\"a\"}", "structured_outputs.choice"),
            List.of("\"structured_outputs\":{\"grammar\":1}", "structured_outputs.grammar"),
            List.of("\"structured_outputs\":{\"json_object\":2}", "structured_outputs.json_object"),
            List.of(
                "\"structured_outputs\":{\"json_object\":true,\"whitespace_pattern\":1}",
                "structured_outputs.whitespace_pattern"),
            List.of("\"guided_json\":3", "guided_json"),
            List.of("\"guided_regex\":[]", "guided_regex"),
            List.of("\"guided_choice\":{}", "guided_choice"),
            List.of("\"guided_grammar\":true", "guided_grammar"),
            List.of("\"guided_decoding_backend\":1", "guided_decoding_backend"),
            List.of("\"structural_tag\":1", "structural_tag"))) {
      refused(bad.get(0), bad.get(1));
    }
  }

  @Test
  void two_anyPair_refusedWithBothNames() throws Exception {
    List<String> all =
        List.of(
            "\"response_format\":{\"type\":\"json_object\"}",
            "\"structured_outputs\":{\"regex\":\"a\"}",
            "\"guided_json\":{}",
            "\"guided_regex\":\"a\"",
            "\"guided_choice\":[\"a\"]",
            "\"guided_grammar\":\"root: /a/\"",
            "\"guided_json_object\":true",
            "\"structural_tag\":\"{}\"");
    for (int i = 0; i < all.size(); i++) {
      for (int j = i + 1; j < all.size(); j++) {
        String first = all.get(i).substring(1, all.get(i).indexOf('"', 1));
        String second = all.get(j).substring(1, all.get(j).indexOf('"', 1));
        refused(all.get(i) + "," + all.get(j), first);
        refused(all.get(i) + "," + all.get(j), second);
      }
    }
    refused("\"structured_outputs\":{\"regex\":\"a\",\"json\":{}}", "structured_outputs.regex");
  }

  private static void refused(String fields, String name) throws Exception {
    for (List<String> route : ROUTES) {
      HttpResponse<String> response =
          server.post(route.get(0), route.get(1) + "," + fields + route.get(2));
      assertThat(response.statusCode()).as(fields).isEqualTo(400);
      assertThat(response.body()).as(fields).contains(name);
    }
  }
}
