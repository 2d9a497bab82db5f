package io.verdier.cache.artifact;

/** An artifact cannot be had. The text is fit for the operator: source, reason, what to do. */
public final class ArtifactException extends RuntimeException {
  public ArtifactException(String text) {
    super(text);
  }

  public ArtifactException(String text, Throwable cause) {
    super(text, cause);
  }

  /** Never null. */
  public String text() {
    String text = getMessage();
    return text == null ? "artifact unavailable" : text;
  }
}
