package io.verdier.engine.text.template;

/**
 * Owned by the rendering thread. The one value that a template may change: {@code set ns.x = 1}
 * reaches out of a loop's scope.
 */
final class Namespace {
  final Dict attributes;

  Namespace(Dict attributes) {
    this.attributes = attributes;
  }
}
