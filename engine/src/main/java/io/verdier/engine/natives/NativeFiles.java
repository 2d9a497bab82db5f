package io.verdier.engine.natives;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.net.JarURLConnection;
import java.net.URL;
import java.net.URLConnection;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;
import java.util.zip.CRC32;
import java.util.zip.Checksum;

/** Unpacks files that the operating system must open by name. Stateless. */
public final class NativeFiles {
  private static final Set<PosixFilePermission> WRITABLE_BY_OTHERS =
      Set.of(PosixFilePermission.GROUP_WRITE, PosixFilePermission.OTHERS_WRITE);

  private NativeFiles() {}

  /**
   * Creates the directory for us alone, or checks that others cannot plant files in it.
   *
   * @throws IOException when group or others may write to it
   */
  public static Path privateDirectory(Path directory) throws IOException {
    Path absolute = directory.toAbsolutePath().normalize();
    boolean posix = absolute.getFileSystem().supportedFileAttributeViews().contains("posix");
    if (!posix) {
      return Files.createDirectories(absolute);
    }
    Files.createDirectories(
        absolute,
        PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    for (PosixFilePermission permission : Files.getPosixFilePermissions(absolute)) {
      if (WRITABLE_BY_OTHERS.contains(permission)) {
        throw new IOException(
            "cache directory "
                + absolute
                + " is writable by other users, who could plant files in it. Run chmod go-w on"
                + " it or choose another one.");
      }
    }
    return absolute;
  }

  /**
   * The file of a resource, unpacked if it is not there. The name holds the checksum that the jar
   * gives for it, so a new version gets a new file and a damaged one is replaced.
   */
  public static Path unpack(ClassLoader loader, String resource, Path directory)
      throws IOException {
    URL url = loader.getResource(resource);
    if (url == null) {
      throw new FileNotFoundException(
          "nothing for this platform (" + resource + " is not in the jar)");
    }
    URLConnection connection = url.openConnection();
    long checksum = checksum(connection, url);
    String fileName = resource.substring(resource.lastIndexOf('/') + 1);
    int dot = fileName.lastIndexOf('.');
    Path file =
        directory.resolve(
            fileName.substring(0, dot)
                + '-'
                + Long.toHexString(checksum)
                + fileName.substring(dot));
    if (Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)
        && checksum(Files.newInputStream(file)) == checksum) {
      return file;
    }
    Path partial = Files.createTempFile(directory, fileName, ".partial");
    try (InputStream in = url.openStream()) {
      Files.copy(in, partial, StandardCopyOption.REPLACE_EXISTING);
      Files.move(
          partial, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(partial);
    }
    return file;
  }

  /** The jar's directory knows the checksum; without a jar the resource itself is read. */
  private static long checksum(URLConnection connection, URL url) throws IOException {
    if (connection instanceof JarURLConnection jar) {
      return jar.getJarEntry().getCrc();
    }
    return checksum(url.openStream());
  }

  private static long checksum(InputStream stream) throws IOException {
    Checksum checksum = new CRC32();
    byte[] buffer = new byte[1 << 16];
    try (stream) {
      for (int n = stream.read(buffer); n >= 0; n = stream.read(buffer)) {
        checksum.update(buffer, 0, n);
      }
    }
    return checksum.getValue();
  }
}
