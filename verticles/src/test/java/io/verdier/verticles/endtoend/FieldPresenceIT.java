package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.verdier.verticles.endtoend.Client.Answer;
import io.verdier.verticles.http.api.ApiField;
import io.verdier.verticles.http.api.ApiTable;
import io.verdier.verticles.http.api.Body;
import io.verdier.verticles.launch.InProcessServer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What the table of fields says of fields that are not there: a default that is written out changes
 * no answer, and a body without a field that it needs is refused with the field's name.
 */
class FieldPresenceIT {
  private static final String CHAT =
      "'messages':[{'role':'user','content':[{'type':'text','text':'Hi'}]}]";
  private static final String TOOLS = "'tools':[{'type':'function','function':{'name':'f'}}]";
  private static final String NAMED = "'tool_choice':{'type':'function','function':{'name':'f'}}";
  private static final String SCHEMA =
      "'response_format':{'type':'json_schema','json_schema':{'schema':{'type':'boolean'}}}";
  private static final String DRAWN = ",'seed':7,'temperature':1,'max_tokens':8";
  private static final String STREAMED = ",'stream':true,'stream_options':{'include_usage':true}";
  private static final String HELD = ",'structured_outputs':{'choice':['yes','no']}";
  private static final String REPEATED = ",'repetition_detection':{}";
  private static final String ANTHROPIC =
      "'system':[{'type':'text','text':'Be short.'}],"
          + "'messages':[{'role':'user','content':[{'type':'tool_result','tool_use_id':'c','content':"
          + "[{'type':'text','text':'Hi'}]}]}],'tools':[{'name':'f','input_schema':{}}],"
          + "'tool_choice':{'type':'tool','name':'f'},'thinking':{'type':'enabled'}";

  /** Good bodies that have every object of the table which has rows with a default or needed. */
  private static final Map<Body, List<String>> GOOD =
      Map.ofEntries(
          Map.entry(
              Body.CHAT,
              List.of(
                  CHAT + DRAWN,
                  CHAT + "," + TOOLS + "," + NAMED + DRAWN,
                  CHAT + "," + SCHEMA + DRAWN,
                  CHAT + STREAMED + DRAWN,
                  CHAT + HELD + DRAWN,
                  CHAT + REPEATED + DRAWN)),
          Map.entry(
              Body.TEXT,
              List.of(
                  "'prompt':'Hi','seed':7",
                  "'prompt':'Hi'," + SCHEMA + DRAWN,
                  "'prompt':'Hi'" + STREAMED + DRAWN,
                  "'prompt':'Hi'" + HELD + DRAWN,
                  "'prompt':'Hi'" + REPEATED + DRAWN)),
          Map.entry(
              Body.PREDICT,
              List.of(
                  "'prompt':'Hi','seed':7",
                  "'prompt':'Hi'," + SCHEMA + DRAWN,
                  "'prompt':'Hi'" + HELD + DRAWN)),
          Map.entry(Body.PREDICTIONS, List.of("'instances':[{'prompt':'Hi'}]")),
          Map.entry(Body.TOKENIZE, List.of(CHAT + "," + TOOLS + "," + NAMED, "'prompt':'Hi'")),
          Map.entry(Body.DETOKENIZE, List.of("'tokens':[5]")),
          Map.entry(Body.EMBED, List.of(CHAT + "," + TOOLS + "," + NAMED, "'input':'Hi'")),
          Map.entry(Body.POOLING, List.of(CHAT + "," + TOOLS + "," + NAMED, "'input':'Hi'")),
          Map.entry(Body.CLASSIFY, List.of(CHAT + "," + TOOLS + "," + NAMED, "'input':'Hi'")),
          Map.entry(Body.SCORE, List.of("'text_1':'Hi','text_2':'Ho'")),
          Map.entry(Body.RERANK, List.of("'query':'Hi','documents':['Ho','Hu']")),
          Map.entry(
              Body.MESSAGES,
              List.of(
                  ANTHROPIC + DRAWN,
                  "'messages':[{'role':'user','content':'Hi'}],'output_config':"
                      + "{'format':{'type':'json_schema','schema':{'type':'boolean'}}}"
                      + DRAWN,
                  "'messages':[{'role':'user','content':'Hi'}]" + HELD + DRAWN)),
          Map.entry(Body.COUNT, List.of(ANTHROPIC)),
          Map.entry(
              Body.RESPONSES,
              List.of(
                  "'input':[{'role':'user','content':'Hi'},"
                      + "{'type':'function_call','call_id':'c','name':'f'},"
                      + "{'type':'function_call_output','call_id':'c','output':"
                      + "[{'type':'output_text','text':'Ho'}]}],"
                      + "'tools':[{'type':'function','name':'f'}],"
                      + "'tool_choice':{'type':'function','name':'f'},"
                      + "'seed':7,'max_output_tokens':8",
                  "'input':'Hi','text':{'format':{'type':'json_schema','name':'b','schema':"
                      + "{'type':'boolean'}}},'seed':7,'max_output_tokens':8",
                  "'input':'Hi'" + HELD + ",'seed':7,'max_output_tokens':8")));

  private static InProcessServer server;
  private static InProcessServer embedder;
  private static InProcessServer classifier;
  @TempDir static Path directory;

  @BeforeAll
  static void start() {
    server =
        InProcessServer.start(
            "--max-model-len=256",
            "--enable-responses-api-store",
            "--enable-auto-tool-choice",
            "--tool-call-parser=hermes",
            "--reasoning-parser=qwen3");
    embedder = InProcessServer.start("--runner=pooling", "--max-model-len=256");
    DemoVariant.in(directory, Map.of("\"LlamaForCausalLM\"", "\"LlamaForSequenceClassification\""));
    DemoVariant.addHead(directory, new float[2 * 256], 2);
    classifier = InProcessServer.start("--model=" + directory, "--max-model-len=256");
  }

  @AfterAll
  static void stop() {
    server.close();
    embedder.close();
    classifier.close();
  }

  @Test
  void defaults_writtenOut_changeNoAnswer() {
    List<String> faults = new ArrayList<>();
    int trials = 0;
    for (ApiField field : ApiTable.fields()) {
      for (Body body : field.bodies()) {
        if (field.hasFallback() && GOOD.containsKey(body) && !isShown(field)) {
          ObjectNode without = goodWith(body, parent(field.name()));
          remove(without, field.name());
          ObjectNode written = without.deepCopy();
          put(written, field.name(), Client.JSON.valueToTree(field.fallback()));
          Answer bare = send(body, without);
          Answer same = send(body, written);
          if (bare.status() != 200 || !shown(body, bare).equals(shown(body, same))) {
            faults.add(body + " " + field.name() + ": " + bare.body() + "\n" + same.body());
          }
          trials++;
        }
      }
    }
    assertThat(faults).isEmpty();
    assertThat(trials).isGreaterThan(120);
  }

  @Test
  void requiredFields_leftOutOrNull_refusedByName() {
    List<String> faults = new ArrayList<>();
    int trials = 0;
    for (ApiField field : ApiTable.fields()) {
      for (Body body : field.bodies()) {
        if (field.presence().isRequired() && GOOD.containsKey(body)) {
          ObjectNode good = goodWith(body, field.name());
          ObjectNode lacking = good.deepCopy();
          remove(lacking, field.name());
          ObjectNode nulled = lacking.deepCopy();
          put(nulled, field.name(), nulled.nullNode());
          if (send(body, good).status() != 200) {
            faults.add(body + ": " + good + " is no good body: " + send(body, good).body());
          }
          for (ObjectNode bad : List.of(lacking, nulled)) {
            Answer answer = send(body, bad);
            String last = field.name().substring(field.name().lastIndexOf('.') + 1);
            if (answer.status() != 400
                || !answer.json().at("/error/message").asText().contains(last)) {
              faults.add(body + " " + bad + ": " + answer.body());
            }
            trials++;
          }
        }
      }
    }
    assertThat(faults).isEmpty();
    assertThat(trials).isGreaterThan(100);
  }

  /** Templates are shown tools as they are, with whatever is written in them. */
  private static boolean isShown(ApiField field) {
    return field.name().startsWith("tools.");
  }

  /** An answer without what is new in each, and without what it repeats of the request. */
  private static String shown(Body body, Answer answer) {
    String text = answer.body();
    if (body == Body.RESPONSES) {
      text = answer.json().path("output").toString() + answer.json().path("usage");
    }
    return text.replaceAll("\"(id|call_id|item_id)\":\"[^\"]*\"", "\"$1\":…")
        .replaceAll("\"(created|created_at|completed_at)\":[0-9.]+", "\"$1\":…");
  }

  private static Answer send(Body body, ObjectNode sent) {
    String text = body == Body.PREDICT ? "{\"instances\":[" + sent + "]}" : sent.toString();
    InProcessServer asked =
        switch (body) {
          case EMBED, POOLING, SCORE, RERANK -> embedder;
          case CLASSIFY -> classifier;
          default -> server;
        };
    return new Client(asked.baseUrl()).post(body.path(), text);
  }

  /** The first good body that has something at a path. */
  private static ObjectNode goodWith(Body body, String path) {
    for (String good : GOOD.get(body)) {
      ObjectNode read = (ObjectNode) new Answer(200, "{" + good.replace('\'', '"') + "}").json();
      if (path.isEmpty() || holder(read, path) != null) {
        return read;
      }
    }
    throw new AssertionError("no good body of " + body + " has " + path);
  }

  private static String parent(String name) {
    return name.contains(".") ? name.substring(0, name.lastIndexOf('.')) : "";
  }

  /** The object that has the last name of a path; null: none. */
  private static ObjectNode holder(JsonNode node, String path) {
    if (node instanceof ArrayNode list) {
      for (JsonNode element : list) {
        ObjectNode found = holder(element, path);
        if (found != null) {
          return found;
        }
      }
      return null;
    }
    int dot = path.indexOf('.');
    if (dot < 0) {
      return node.has(path) ? (ObjectNode) node : null;
    }
    return holder(node.path(path.substring(0, dot)), path.substring(dot + 1));
  }

  private static void remove(ObjectNode body, String path) {
    ObjectNode holder = holder(body, path);
    if (holder != null) {
      holder.remove(path.substring(path.lastIndexOf('.') + 1));
    }
  }

  private static void put(ObjectNode body, String path, JsonNode value) {
    JsonNode object = body;
    String parent = parent(path);
    if (!parent.isEmpty()) {
      object = holder(body, parent).get(parent.substring(parent.lastIndexOf('.') + 1));
    }
    ObjectNode place = (ObjectNode) (object instanceof ArrayNode list ? list.get(0) : object);
    place.set(path.substring(path.lastIndexOf('.') + 1), value);
  }
}
