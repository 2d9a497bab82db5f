package io.verdier.verticles.http.api;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The tables of request fields ({@code fields.txt}) and of routes ({@code routes.txt}), beside this
 * class: rows of text, which Java source cannot be under a formatter. Immutable.
 */
public final class ApiTable {
  private static final List<ApiField> FIELDS = readFields();
  private static final List<ApiRoute> ROUTES =
      rows("routes.txt").stream().filter(row -> !row.isBlank()).map(ApiRoute::of).toList();
  private static final Map<Body, Map<String, ApiField>> BY_NAME = byName();
  private static final Map<Body, Set<String>> OBJECTS = objects();

  private ApiTable() {}

  /** All fields, in the order of the table. */
  public static List<ApiField> fields() {
    return FIELDS;
  }

  /** All routes, in the order of the table. */
  public static List<ApiRoute> routes() {
    return ROUTES;
  }

  /** The fields of one body by name. */
  public static Map<String, ApiField> of(Body body) {
    Map<String, ApiField> fields = BY_NAME.get(body);
    return fields == null ? Map.of() : fields;
  }

  /**
   * Names of the fields that a body shares with another: they mean the same in both.
   *
   * @param but names that do not
   */
  public static List<String> shared(Body body, Body other, Set<String> but) {
    return of(body).values().stream()
        .filter(ApiField::isTopLevel)
        .filter(field -> field.status().hasEffect())
        .map(ApiField::name)
        .filter(name -> of(other).containsKey(name) && !but.contains(name))
        .toList();
  }

  /**
   * Names of the fields that an object must have.
   *
   * @param object name of the object with a dot behind it; empty: the body itself
   */
  public static List<String> required(Body body, String object) {
    return of(body).values().stream()
        .filter(field -> field.presence().isRequired() && field.name().startsWith(object))
        .map(field -> field.name().substring(object.length()))
        .filter(name -> name.indexOf('.') < 0)
        .toList();
  }

  /** The row of a field of a body; null where nobody knows such a field. */
  public static @Nullable ApiField field(Body body, String name) {
    return of(body).get(name);
  }

  /**
   * The field that an object has under a key; null where nobody knows it.
   *
   * @param object name of the object in the table, a dot behind it; empty: the body itself
   */
  public static @Nullable ApiField keyed(Body body, String object, String key) {
    if (key.indexOf('.') >= 0) {
      return null; // the table's dots are not the client's
    }
    ApiField own = field(body, object + key);
    return own == null ? field(body, object + ApiField.ANY) : own;
  }

  /**
   * Whether the table tells the fields of an object, or of those in a list. If not the object is
   * free: a JSON schema, variables of a template, notes.
   */
  public static boolean tellsFieldsOf(Body body, String object) {
    Set<String> objects = OBJECTS.get(body);
    return objects != null && objects.contains(object);
  }

  private static List<ApiField> readFields() {
    List<ApiField> fields = new ArrayList<>();
    String group = "";
    for (String row : rows("fields.txt")) {
      if (row.startsWith("## ")) {
        group = row.substring(3).strip();
      } else if (!row.isBlank()) {
        fields.add(ApiField.of(group, row));
      }
    }
    return List.copyOf(fields);
  }

  private static Map<Body, Map<String, ApiField>> byName() {
    Map<Body, Map<String, ApiField>> bodies = new EnumMap<>(Body.class);
    for (ApiField field : FIELDS) {
      for (Body body : field.bodies()) {
        Map<String, ApiField> fields = bodies.computeIfAbsent(body, it -> new LinkedHashMap<>());
        if (fields.put(field.name(), field) != null) {
          throw new IllegalArgumentException(field.name() + " has two rows for " + body);
        }
      }
    }
    return bodies;
  }

  private static Map<Body, Set<String>> objects() {
    Map<Body, Set<String>> bodies = new EnumMap<>(Body.class);
    BY_NAME.forEach(
        (body, fields) -> {
          Set<String> objects = new HashSet<>();
          fields.keySet().stream()
              .filter(name -> name.indexOf('.') >= 0)
              .forEach(name -> objects.add(name.substring(0, name.lastIndexOf('.'))));
          if (!fields.keySet().containsAll(objects)) {
            objects.removeAll(fields.keySet());
            throw new IllegalArgumentException("no rows for " + objects + " of " + body);
          }
          bodies.put(body, objects);
        });
    return bodies;
  }

  private static List<String> rows(String table) {
    try (InputStream in = ApiTable.class.getResourceAsStream(table)) {
      if (in == null) {
        throw new IllegalStateException(table + " is missing from the jar");
      }
      String text = new String(in.readAllBytes(), StandardCharsets.UTF_8);
      return text.lines().filter(row -> !row.startsWith("# ") && !row.equals("#")).toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
