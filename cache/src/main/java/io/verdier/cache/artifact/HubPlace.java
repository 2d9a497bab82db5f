package io.verdier.cache.artifact;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.Optional;

/**
 * A commit of a repository in the cache that Python's {@code huggingface_hub} keeps, so that either
 * finds what the other has fetched.
 *
 * <pre>
 *   models--org--name/blobs/ETAG               content, named by its checksum
 *   models--org--name/snapshots/COMMIT/FILE → ../../blobs/ETAG
 *   models--org--name/refs/BRANCH              holds the commit
 *   .locks/verdier/models--org--name.lock      where Python's locks lie, and as far as the cache is
 *                                              shared: containers may share nothing else
 * </pre>
 *
 * <p>Bytes on their way end in {@code .verdier.incomplete}: Python's own partial files have no
 * journal, and their locks are of another kind than Java's.
 *
 * @param repository {@code models--org--name}
 * @param revision as it was asked for
 */
record HubPlace(Path repository, String commit, String revision) implements Place {

  static Path repository(Path cache, String name) {
    return cache.resolve("models--" + name.replace("/", "--"));
  }

  /** Directory of the locks on repositories. */
  static Path locks(Path cache) {
    return cache.resolve(".locks").resolve("verdier");
  }

  /** The commit that a branch meant when it was last fetched, or the revision if it is one. */
  static Optional<String> commit(Path repository, String revision) {
    Path ref = repository.resolve("refs").resolve(revision);
    try {
      if (Files.isRegularFile(ref)) {
        return Optional.of(Files.readString(ref).strip());
      }
    } catch (IOException unreadable) {
      return Optional.empty();
    }
    boolean isCommit = Files.isDirectory(repository.resolve("snapshots").resolve(revision));
    return isCommit ? Optional.of(revision) : Optional.empty();
  }

  /** When it was last noted what the branch means; a commit never means another one. */
  static FileTime noted(Path repository, String revision) {
    try {
      return Files.getLastModifiedTime(repository.resolve("refs").resolve(revision));
    } catch (IOException isCommit) {
      return FileTime.from(Instant.MAX);
    }
  }

  @Override
  public Path directory() {
    return repository.resolve("snapshots").resolve(commit);
  }

  @Override
  public boolean has(RemoteFile file) {
    if (isWhole(directory().resolve(file.name()), file)) {
      return true;
    }
    if (!isWhole(blob(file), file)) {
      return false;
    }
    try {
      link(file);
      return true;
    } catch (IOException readOnly) {
      return false;
    }
  }

  private static boolean isWhole(Path path, RemoteFile file) {
    return Files.isRegularFile(path) && path.toFile().length() == file.size();
  }

  private Path blob(RemoteFile file) {
    return repository.resolve("blobs").resolve(file.checksum().value());
  }

  @Override
  public Path partial(RemoteFile file) {
    return blob(file).resolveSibling(file.checksum().value() + ".verdier.incomplete");
  }

  @Override
  public void publish(RemoteFile file, PartialFile partial) throws IOException {
    try {
      partial.publish(blob(file));
    } catch (NoSuchFileException taken) { // by a process whose locks lie elsewhere
      if (!isWhole(blob(file), file)) {
        throw taken;
      }
    }
    link(file);
  }

  /** By a name of its own first: a link cannot replace another one at once. */
  private void link(RemoteFile file) throws IOException {
    Path name = directory().resolve(file.name());
    Path folder = PartialFile.parent(name);
    Files.createDirectories(folder);
    Path temporary = folder.resolve("." + name.getFileName() + ".verdier");
    Files.deleteIfExists(temporary);
    try {
      Files.createSymbolicLink(temporary, folder.relativize(blob(file)));
    } catch (FileAlreadyExistsException taken) {
      throw taken;
    } catch (UnsupportedOperationException | FileSystemException noLinks) {
      Files.move(blob(file), name, StandardCopyOption.ATOMIC_MOVE); // as Python does it
      return;
    }
    Files.move(temporary, name, StandardCopyOption.ATOMIC_MOVE);
  }

  @Override
  public void complete() throws IOException {
    if (revision.equals(commit)) {
      return;
    }
    Path ref = repository.resolve("refs").resolve(revision);
    if (commit(repository, revision).equals(Optional.of(commit))) {
      return;
    }
    Files.createDirectories(PartialFile.parent(ref));
    Path temporary = ref.resolveSibling(ref.getFileName() + ".verdier");
    Files.writeString(temporary, commit);
    Files.move(temporary, ref, StandardCopyOption.ATOMIC_MOVE);
  }
}
