package io.verdier.verticles.cluster;

import java.io.Externalizable;
import java.io.IOException;
import java.io.ObjectInput;
import java.io.ObjectOutput;
import java.io.Serial;
import java.io.Serializable;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * What an attacker sends: whoever deserializes it leaves a trace. It lies on the class path of the
 * attacked server too, as some class of that kind lies on every class path.
 */
final class Gadget implements Serializable {
  @Serial private static final long serialVersionUID = 1;

  /** Names the file that shows that it ran. */
  private final String trace;

  Gadget(Path trace) {
    this.trace = trace.toString();
  }

  @Serial
  private Object readResolve() throws IOException {
    Files.writeString(Path.of(trace), "deserialized");
    return this;
  }

  /** The same by the other way, which filters have been known to forget. */
  public static final class External implements Externalizable {
    @Serial private static final long serialVersionUID = 1;

    private String trace = "";

    /** For whoever reads it. */
    public External() {}

    External(Path trace) {
      this.trace = trace.toString();
    }

    @Override
    public void writeExternal(ObjectOutput out) throws IOException {
      out.writeUTF(trace);
    }

    @Override
    public void readExternal(ObjectInput in) throws IOException {
      Files.writeString(Path.of(in.readUTF()), "deserialized");
    }
  }
}
