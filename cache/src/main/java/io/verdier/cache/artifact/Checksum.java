package io.verdier.cache.artifact;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Locale;
import java.util.zip.CRC32C;

/**
 * What a file's bytes must add up to. Immutable.
 *
 * @param value in lower-case hexadecimal digits; empty for {@link Kind#NONE}
 */
record Checksum(Kind kind, String value) {
  static final Checksum NONE = new Checksum(Kind.NONE, "");
  private static final int BUFFER_BYTES = 1 << 20;

  /** Who has which: Cloud Storage the first two, the Hub the other two. */
  enum Kind {
    NONE("none"),
    CRC32C("crc32c"),
    MD5("md5"),
    SHA256("sha256"),
    /** SHA-1 of Git's header and the content: the id of a file that is kept in Git itself. */
    GIT("git id");

    private final String word;

    Kind(String word) {
      this.word = word;
    }

    String word() {
      return word;
    }
  }

  Checksum {
    value = value.toLowerCase(Locale.ROOT);
  }

  /** Whether a file has it; reads all of it. */
  boolean matches(Path file) throws IOException {
    return switch (kind) {
      case NONE -> true;
      case CRC32C -> crc32c(file).equals(value);
      case MD5 -> digest(file, "MD5", new byte[0]).equals(value);
      case SHA256 -> digest(file, "SHA-256", new byte[0]).equals(value);
      case GIT -> {
        String header = "blob " + Files.size(file) + "\0";
        yield digest(file, "SHA-1", header.getBytes(StandardCharsets.US_ASCII)).equals(value);
      }
    };
  }

  private static String crc32c(Path file) throws IOException {
    CRC32C crc = new CRC32C();
    read(file, crc::update);
    return HexFormat.of().toHexDigits((int) crc.getValue());
  }

  private static String digest(Path file, String algorithm, byte[] before) throws IOException {
    MessageDigest digest = messageDigest(algorithm);
    digest.update(before);
    read(file, digest::update);
    return HexFormat.of().formatHex(digest.digest());
  }

  private static MessageDigest messageDigest(String algorithm) {
    try {
      return MessageDigest.getInstance(algorithm);
    } catch (NoSuchAlgorithmException impossible) { // every JDK has these
      throw new IllegalStateException(impossible);
    }
  }

  /** SHA-256 of a short text: names of files and directories are made of it. */
  static String ofText(String text) {
    byte[] digest = messageDigest("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
    return HexFormat.of().formatHex(digest);
  }

  private interface Sink {
    void update(byte[] buffer, int offset, int length);
  }

  private static void read(Path file, Sink sink) throws IOException {
    byte[] buffer = new byte[BUFFER_BYTES];
    try (InputStream in = Files.newInputStream(file)) {
      for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
        sink.update(buffer, 0, n);
      }
    }
  }
}
