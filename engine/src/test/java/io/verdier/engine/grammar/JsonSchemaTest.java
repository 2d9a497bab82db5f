package io.verdier.engine.grammar;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.grammar.Constraint.JsonSchema;
import io.verdier.engine.grammar.Constraint.JsonStyle;
import java.nio.charset.StandardCharsets;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** JSON schemas, by what matches and what does not. */
class JsonSchemaTest {
  private static final JsonStyle COMPACT = new JsonStyle(true, null, false);
  private static final JsonStyle CLOSED = new JsonStyle(false, null, true);

  private static StateSpace compile(String schema, JsonStyle style) {
    return new StateSpace(
        GrammarCompiler.compile(new JsonSchema(schema, style), Budget.defaults()));
  }

  private static boolean matches(StateSpace space, String text) {
    @Nullable GrammarState state = space.start();
    for (byte value : text.getBytes(StandardCharsets.UTF_8)) {
      state = state == null ? null : space.next(state, value & 0xff);
    }
    return state != null && state.mayEnd();
  }

  private static boolean matches(String schema, String text) {
    return matches(compile(schema.replace('\'', '"'), JsonStyle.USUAL), text.replace('\'', '"'));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      textBlock =
          """
          # types
          {}                        | {'a': [1, null, true, 'x', {}]}   | true
          true                      | [[], {}, -1.5e-3]                 | true
          {'type': 'object'}        | {'a' : 1 , 'b':{}}                | true
          {'type': 'object'}        | []                                | false
          {'type': 'object'}        | {,}                               | false
          {'type': 'object'}        | {'a': 1,}                         | false
          {'type': ['null', 'integer']} | null                          | true
          {'type': ['null', 'integer']} | -12                           | true
          {'type': ['null', 'integer']} | 01                            | false
          {'type': ['null', 'integer']} | 1.5                           | false
          {'type': 'string', 'nullable': true} | null                   | true
          {'type': 'number'}        | -0.5E+10                          | true
          {'type': 'number'}        | .5                                | false
          {'type': 'number'}        | 1e4000                            | false
          {'enum': [1, 'a', null, [2], {'b': 'c'}]} | {'b': 'c'}        | true
          {'enum': [1, 'a', null, [2], {'b': 'c'}]} | [2]               | true
          {'enum': [1, 'a', null, [2], {'b': 'c'}]} | [1]               | false
          {'enum': [1, 'a', null, [2], {'b': 'c'}]} | 'a'               | true
          {'const': 'é'}            | 'é'                               | true
          {'const': 'é'}            | '\\u00E9'                         | true
          {'const': 'é'}            | '\\u00e8'                         | false
          {'const': 1e2}            | 100                               | true
          {'enum': [0.5, 1]}        | 1.0                               | true
          {'enum': ['x', 1, true], 'type': 'string'} | 1                | false
          # objects
          {'properties': {'a': {'type': 'integer'}, 'b': {'type': 'null'}}, 'type': 'object', 'required': ['b']} | {'b': null} | true
          {'properties': {'a': {'type': 'integer'}, 'b': {'type': 'null'}}, 'type': 'object', 'required': ['b']} | {'a': 1} | false
          {'properties': {'a': {'type': 'integer'}, 'b': {'type': 'null'}}, 'type': 'object', 'required': ['b']} | {'a': 1, 'b': null, 'c': []} | true
          {'properties': {'a': {'type': 'integer'}, 'b': {'type': 'null'}}, 'type': 'object', 'required': ['b']} | {'b': null, 'a': 1} | false
          {'properties': {'a': {'type': 'integer'}}, 'type': 'object'} | {'b': 1} | true
          {'properties': {'a': {'type': 'integer'}}, 'type': 'object'} | {'a': 'x'} | false
          {'properties': {'a': {'type': 'integer'}}, 'type': 'object'} | {'\\u0061': 'x'} | false
          {'properties': {'a': {'type': 'integer'}}, 'type': 'object'} | {'ab': 'x'} | true
          {'properties': {'a': {'type': 'integer'}}, 'type': 'object'} | {'': 'x'} | true
          {'properties': {'é': {'type': 'integer'}}, 'type': 'object'} | {'\\u00e9': 'x'} | false
          {'properties': {'é': {'type': 'integer'}}, 'type': 'object'} | {'\\u00e9': 4} | true
          {'properties': {'a': {}}, 'additionalProperties': false, 'type': 'object'} | {'b': 1} | false
          {'properties': {'a': false}, 'type': 'object'} | {'a': 1} | false
          {'additionalProperties': {'type': 'integer'}, 'type': 'object'} | {'a': 1,'b':2} | true
          {'additionalProperties': {'type': 'integer'}, 'type': 'object'} | {'a': 'b'} | false
          {'type': 'object', 'required': ['x']} | {} | false
          {'type': 'object', 'required': ['x']} | {'x': 1} | true
          {'type': 'object', 'patternProperties': {'^x': {'type': 'integer'}}} | {'xa': 1, 'b': 'c'} | true
          {'type': 'object', 'patternProperties': {'^x': {'type': 'integer'}}} | {'xa': 'c'} | false
          {'type': 'object', 'patternProperties': {'^x': {'type': 'integer'}}, 'additionalProperties': false} | {'b': 1} | false
          {'type': 'object', 'properties': {'xy': {'minimum': 3}}, 'patternProperties': {'^x': {'type': 'integer'}}} | {'xy': 3} | true
          {'type': 'object', 'properties': {'xy': {'minimum': 3}}, 'patternProperties': {'^x': {'type': 'integer'}}} | {'xy': 2} | false
          {'type': 'object', 'propertyNames': {'pattern': '^[a-z]+$'}} | {'ab': 1} | true
          {'type': 'object', 'propertyNames': {'pattern': '^[a-z]+$'}} | {'aB': 1} | false
          {'type': 'object', 'propertyNames': {'enum': ['a', 'b']}, 'minProperties': 2} | {'a': 1, 'b': 2} | true
          {'type': 'object', 'propertyNames': {'enum': ['a', 'b']}, 'minProperties': 2} | {'a': 1} | false
          {'type': 'object', 'minProperties': 1} | {} | false
          {'type': 'object', 'minProperties': 1} | {'a': 1} | true
          {'type': 'object', 'maxProperties': 1} | {'a': 1, 'b': 1} | false
          {'type': 'object', 'maxProperties': 0} | {} | true
          {'type': 'object', 'maxProperties': 0} | {'a': 1} | false
          {'type': 'object', 'properties': {'a': {}, 'b': {}, 'c': {}}, 'minProperties': 2, 'maxProperties': 2, 'additionalProperties': false} | {'a': 1, 'c': 1} | true
          {'type': 'object', 'properties': {'a': {}, 'b': {}, 'c': {}}, 'minProperties': 2, 'maxProperties': 2, 'additionalProperties': false} | {'b': 1} | false
          {'type': 'object', 'properties': {'a': {}, 'b': {}, 'c': {}}, 'minProperties': 2, 'maxProperties': 2, 'additionalProperties': false} | {'a': 1, 'b': 1, 'c': 1} | false
          {'type': 'object', 'properties': {'a': {}, 'b': {}}, 'dependentRequired': {'a': ['b']}} | {'a': 1} | false
          {'type': 'object', 'properties': {'a': {}, 'b': {}}, 'dependentRequired': {'a': ['b']}} | {'a': 1, 'b': 1} | true
          {'type': 'object', 'properties': {'a': {}, 'b': {}}, 'dependentRequired': {'a': ['b']}} | {'b': 1} | true
          # arrays
          {'type': 'array', 'items': {'type': 'integer'}} | [1, 2,3] | true
          {'type': 'array', 'items': {'type': 'integer'}} | [1, 'a'] | false
          {'type': 'array', 'items': false} | [] | true
          {'type': 'array', 'items': false} | [1] | false
          {'type': 'array', 'minItems': 2, 'maxItems': 3} | [1] | false
          {'type': 'array', 'minItems': 2, 'maxItems': 3} | [1,2,3] | true
          {'type': 'array', 'minItems': 2, 'maxItems': 3} | [1,2,3,4] | false
          {'type': 'array', 'prefixItems': [{'type': 'integer'}, {'type': 'string'}]} | [1] | true
          {'type': 'array', 'prefixItems': [{'type': 'integer'}, {'type': 'string'}]} | [1, 'a', null] | true
          {'type': 'array', 'prefixItems': [{'type': 'integer'}, {'type': 'string'}]} | ['a'] | false
          {'type': 'array', 'prefixItems': [{'type': 'integer'}], 'items': false, 'minItems': 1} | [] | false
          {'type': 'array', 'prefixItems': [{'type': 'integer'}], 'items': false, 'minItems': 1} | [1] | true
          {'type': 'array', 'prefixItems': [{'type': 'integer'}], 'items': false, 'minItems': 1} | [1, 2] | false
          {'type': 'array', 'items': [{'type': 'integer'}], 'additionalItems': {'type': 'null'}, 'minItems': 3} | [1, null] | false
          {'type': 'array', 'items': [{'type': 'integer'}], 'additionalItems': {'type': 'null'}, 'minItems': 3} | [1, null, null] | true
          {'type': 'array', 'items': {'enum': [1, 2, 3]}, 'uniqueItems': true} | [3, 1, 2] | true
          {'type': 'array', 'items': {'enum': [1, 2, 3]}, 'uniqueItems': true} | [3, 3] | false
          {'type': 'array', 'items': {'enum': [1, 2, 3, 4, 5, 6, 7, 8]}, 'uniqueItems': true, 'minItems': 2} | [2, 7] | true
          {'type': 'array', 'items': {'enum': [1, 2, 3, 4, 5, 6, 7, 8]}, 'uniqueItems': true, 'minItems': 2} | [7] | false
          {'type': 'array', 'uniqueItems': true, 'maxItems': 1} | ['x'] | true
          # combinators
          {'anyOf': [{'type': 'string'}, {'type': 'null'}]} | null | true
          {'anyOf': [{'type': 'string'}, {'type': 'null'}]} | 1 | false
          {'allOf': [{'properties': {'a': {'type': 'integer'}}, 'required': ['a']}, {'properties': {'a': {'minimum': 5}, 'b': {'type': 'null'}}}], 'type': 'object'} | {'a': 5, 'b': null} | true
          {'allOf': [{'properties': {'a': {'type': 'integer'}}, 'required': ['a']}, {'properties': {'a': {'minimum': 5}, 'b': {'type': 'null'}}}], 'type': 'object'} | {'a': 4} | false
          {'oneOf': [{'type': 'integer', 'multipleOf': 3}, {'type': 'integer', 'multipleOf': 5}]} | 9 | true
          {'oneOf': [{'type': 'integer', 'multipleOf': 3}, {'type': 'integer', 'multipleOf': 5}]} | 30 | false
          {'oneOf': [{'type': 'number', 'multipleOf': 3}, {'type': 'number', 'multipleOf': 5}]} | 30.0 | false
          {'type': 'object', 'properties': {'a': {}, 'b': {}}, 'oneOf': [{'required': ['a']}, {'required': ['b']}]} | {'a': 1} | true
          {'type': 'object', 'properties': {'a': {}, 'b': {}}, 'oneOf': [{'required': ['a']}, {'required': ['b']}]} | {'a': 1, 'b': 2} | false
          {'type': 'object', 'properties': {'a': {}, 'b': {}}, 'oneOf': [{'required': ['a']}, {'required': ['b']}]} | {} | false
          {'oneOf': [{'type': 'object', 'properties': {'a': {'type': 'integer'}}, 'additionalProperties': false}, {'type': 'object', 'properties': {'b': {'type': 'integer'}}, 'additionalProperties': false}]} | {'a': 1} | true
          {'oneOf': [{'type': 'object', 'properties': {'a': {'type': 'integer'}}, 'additionalProperties': false}, {'type': 'object', 'properties': {'b': {'type': 'integer'}}, 'additionalProperties': false}]} | {} | false
          {'not': {'type': 'string'}} | 'a' | false
          {'not': {'type': 'string'}} | {'b': 1} | true
          {'type': 'string', 'not': {'enum': ['a', 'b']}} | 'a' | false
          {'type': 'string', 'not': {'enum': ['a', 'b']}} | 'ab' | true
          {'type': 'integer', 'not': {'const': 5}} | 5 | false
          {'type': 'integer', 'not': {'const': 5}} | 55 | true
          {'type': 'number', 'not': {'const': 5}} | 5.0 | false
          {'type': 'number', 'not': {'type': 'integer'}} | 5.0 | false
          {'type': 'number', 'not': {'type': 'integer'}} | 5.1 | true
          {'type': 'object', 'properties': {'k': {'enum': ['a', 'b']}, 'n': {'type': 'integer'}}, 'required': ['k'], 'if': {'properties': {'k': {'const': 'a'}}}, 'then': {'required': ['n']}} | {'k': 'a'} | false
          {'type': 'object', 'properties': {'k': {'enum': ['a', 'b']}, 'n': {'type': 'integer'}}, 'required': ['k'], 'if': {'properties': {'k': {'const': 'a'}}}, 'then': {'required': ['n']}} | {'k': 'a', 'n': 1} | true
          {'type': 'object', 'properties': {'k': {'enum': ['a', 'b']}, 'n': {'type': 'integer'}}, 'required': ['k'], 'if': {'properties': {'k': {'const': 'a'}}}, 'then': {'required': ['n']}} | {'k': 'b'} | true
          {'type': 'object', 'allOf': [{'properties': {'a': {}}}], 'properties': {'b': {}}, 'unevaluatedProperties': false} | {'b': 1, 'a': 1} | true
          {'type': 'object', 'allOf': [{'properties': {'a': {}}}], 'properties': {'b': {}}, 'unevaluatedProperties': false} | {'c': 1} | false
          # references
          {'$ref': '#/$defs/n', '$defs': {'n': {'type': 'object', 'properties': {'next': {'anyOf': [{'$ref': '#/$defs/n'}, {'type': 'null'}]}}, 'required': ['next'], 'additionalProperties': false}}} | {'next': {'next': null}} | true
          {'$ref': '#/$defs/n', '$defs': {'n': {'type': 'object', 'properties': {'next': {'anyOf': [{'$ref': '#/$defs/n'}, {'type': 'null'}]}}, 'required': ['next'], 'additionalProperties': false}}} | {'next': {}} | false
          {'type': 'array', 'items': {'$ref': '#'}} | [[], [[]]] | true
          {'$defs': {'a': {'$anchor': 'x', 'type': 'integer'}}, '$ref': '#x'} | 5 | true
          {'$defs': {'a': {'$anchor': 'x', 'type': 'integer'}}, '$ref': '#x', 'minimum': 3} | 2 | false
          {'$schema': 'http://json-schema.org/draft-07/schema#', '$defs': {'a': {'type': 'integer'}}, '$ref': '#/$defs/a', 'minimum': 3} | 2 | true
          {'$id': 'https://example.com/root', '$defs': {'a': {'$id': '/a', 'type': 'integer'}}, '$ref': 'https://example.com/a'} | 2 | true
          {'$defs': {'a/b~c%': {'type': 'integer'}}, '$ref': '#/$defs/a~1b~0c%25'} | 2 | true
          """)
  void match_instance_asTheSpecificationHasIt(String schema, String text, boolean expected) {
    assertThat(matches(schema, text.strip())).isEqualTo(expected);
  }
}
