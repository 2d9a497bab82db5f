package io.verdier.engine.text;

import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import io.verdier.engine.natives.NativeFiles;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;

/**
 * Unpacks and loads the native half of the Hugging Face tokenizers library. Thread-safe: what is
 * loaded belongs to the process, and so does the one fact kept here.
 *
 * <p>The library's own loader is not used. It asks the cloud's metadata service who we are, looks
 * for a CUDA installation and, where it finds one, downloads another native library from the
 * internet; and it unpacks below the home or temporary directory. Ours takes the CPU build out of
 * the jar, once, into a directory that only we can write, and loads that.
 */
final class NativeTokenizers {
  private static boolean isLoaded; // guarded by the class

  private NativeTokenizers() {}

  /**
   * Loads the library, once in a process: the first directory counts. Of two files that are both
   * loaded, either may answer to a method's name, and a tokenizer that one of them made aborts the
   * process when it gets into the other.
   */
  static synchronized TokenizersLibrary load(Path cacheDirectory) throws IOException {
    Path directory = NativeFiles.privateDirectory(cacheDirectory);
    if (isLoaded) {
      return TokenizersLibrary.LIB;
    }
    Path library = unpack(directory);
    try {
      System.load(library.toString());
    } catch (UnsatisfiedLinkError e) {
      throw new IOException(
          "cannot load the native tokenizer "
              + library
              + ": "
              + e.getMessage()
              + ". It needs glibc 2.34 or newer, and a cache directory that is not mounted noexec.",
          e);
    }
    isLoaded = true;
    return TokenizersLibrary.LIB;
  }

  /** The library's file, unpacked if it is not there. */
  static Path unpack(Path directory) throws IOException {
    return NativeFiles.unpack(TokenizersLibrary.class.getClassLoader(), resource(), directory);
  }

  private static String resource() {
    String os = System.getProperty("os.name", "").toLowerCase(Locale.ROOT);
    String arch = System.getProperty("os.arch", "");
    String cpu = arch.equals("amd64") ? "x86_64" : arch;
    if (os.startsWith("mac")) {
      return "native/lib/osx-" + cpu + "/cpu/libtokenizers.dylib";
    }
    return "native/lib/linux-" + cpu + "/cpu/libtokenizers.so";
  }
}
