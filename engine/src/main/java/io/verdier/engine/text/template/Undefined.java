package io.verdier.engine.text.template;

/**
 * What a missing name, attribute or item evaluates to. Immutable. Prints as nothing, is false,
 * empty and equal to any other undefined; everything else asked of it fails with its message, which
 * says what was missing.
 *
 * @param message for example {@code 'x' is undefined}
 */
record Undefined(String message) {
  static Undefined name(String name) {
    return new Undefined("'" + name + "' is undefined");
  }

  static Undefined attribute(Object owner, String name) {
    return new Undefined(Types.described(owner) + " has no attribute '" + name + "'");
  }

  static Undefined item(Object owner, Object key) {
    if (key instanceof String name) {
      return attribute(owner, name);
    }
    return new Undefined(Types.described(owner) + " has no element " + key);
  }

  /** Reading is allowed and gives nothing; using it says why it is refused. */
  static Undefined unsafe(Object owner, String name) {
    return new Undefined(
        "access to attribute '" + name + "' of '" + Types.name(owner) + "' object is unsafe");
  }

  TemplateException failure() {
    return TemplateException.runtime(message);
  }
}
