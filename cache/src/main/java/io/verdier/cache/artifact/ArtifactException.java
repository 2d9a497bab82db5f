package io.verdier.cache.artifact;

/** An artifact cannot be had. The text is fit for the operator: source, reason, what to do. */
public final class ArtifactException extends RuntimeException {
  private final boolean isUnreachable;

  public ArtifactException(String text) {
    super(text);
    this.isUnreachable = false;
  }

  public ArtifactException(String text, Throwable cause) {
    this(text, cause, false);
  }

  private ArtifactException(String text, Throwable cause, boolean isUnreachable) {
    super(text, cause);
    this.isUnreachable = isUnreachable;
  }

  /** Nobody has answered the question which files there are, or nobody who knows. */
  static ArtifactException unreachable(String text, Throwable cause) {
    return new ArtifactException(text, cause, true);
  }

  /** Whether the source was not heard: what it had before may be as good as ever. */
  public boolean isUnreachable() {
    return isUnreachable;
  }

  /** Never null. */
  public String text() {
    String text = getMessage();
    return text == null ? "artifact unavailable" : text;
  }
}
