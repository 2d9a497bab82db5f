package io.verdier.verticles.house;

import com.sun.source.tree.BlockTree;
import com.sun.source.tree.ClassTree;
import com.sun.source.tree.CompilationUnitTree;
import com.sun.source.tree.LineMap;
import com.sun.source.tree.MethodTree;
import com.sun.source.tree.Tree;
import com.sun.source.util.JavacTask;
import com.sun.source.util.SourcePositions;
import com.sun.source.util.TreePathScanner;
import com.sun.source.util.Trees;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import javax.tools.DiagnosticCollector;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;

/**
 * Finds what the layout tool cannot: long methods, long files, work promised without a number.
 * Methods are measured on javac's own tree, so that braces in strings and comments cannot mislead.
 */
final class SourceScan {
  static final int METHOD_LINES_MAX = 60;
  static final int FILE_LINES_MAX = 500;

  /** Written in pieces, or this very line would be one. */
  private static final Pattern PROMISE = Pattern.compile("\\b(TO" + "DO|FIX" + "ME)\\b");

  private static final Pattern ISSUE = Pattern.compile("#\\d+");

  private final String name;
  private final String text;
  private final List<String> violations = new ArrayList<>();

  private SourceScan(String name, String text) {
    this.name = name;
    this.text = text;
  }

  /**
   * Everything untidy in one file, as {@code name:line: what}.
   *
   * @param name the file's name as it is to be shown
   * @param text the file's content
   */
  static List<String> violations(String name, String text) {
    SourceScan scan = new SourceScan(name, text);
    scan.lines();
    scan.methods();
    return scan.violations;
  }

  private void lines() {
    List<String> lines = text.lines().toList();
    if (lines.size() > FILE_LINES_MAX) {
      violate(lines.size(), "file has " + lines.size() + " lines, at most " + FILE_LINES_MAX);
    }
    for (int i = 0; i < lines.size(); i++) {
      if (PROMISE.matcher(lines.get(i)).find() && !ISSUE.matcher(lines.get(i)).find()) {
        violate(i + 1, "promise without an issue number such as #12");
      }
    }
  }

  private void methods() {
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    DiagnosticCollector<JavaFileObject> problems = new DiagnosticCollector<>();
    JavacTask task =
        (JavacTask) compiler.getTask(null, null, problems, null, null, List.of(new Source(text)));
    try {
      for (CompilationUnitTree unit : task.parse()) {
        new Measure(unit, Trees.instance(task).getSourcePositions()).scan(unit, null);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    problems.getDiagnostics().forEach(it -> violate(it.getLineNumber(), "cannot be parsed"));
  }

  private void violate(long line, String what) {
    violations.add(name + ":" + line + ": " + what);
  }

  /** Measures declarations from their first line (annotations included) to the closing brace. */
  private final class Measure extends TreePathScanner<Void, Void> {
    private final CompilationUnitTree unit;
    private final SourcePositions positions;
    private final LineMap map;

    Measure(CompilationUnitTree unit, SourcePositions positions) {
      this.unit = unit;
      this.positions = positions;
      this.map = unit.getLineMap();
    }

    @Override
    public Void visitMethod(MethodTree method, Void unused) {
      measure(method, method.getName().toString());
      return super.visitMethod(method, null);
    }

    @Override
    public Void visitClass(ClassTree type, Void unused) {
      for (Tree member : type.getMembers()) {
        if (member instanceof BlockTree) {
          measure(member, "initializer");
        }
      }
      return super.visitClass(type, null);
    }

    private void measure(Tree tree, String what) {
      long end = positions.getEndPosition(unit, tree);
      if (end < 0) {
        return; // the compiler's own, such as a default constructor
      }
      long first = map.getLineNumber(positions.getStartPosition(unit, tree));
      long lines = map.getLineNumber(end) - first + 1;
      if (lines > METHOD_LINES_MAX) {
        violate(first, what + " has " + lines + " lines, at most " + METHOD_LINES_MAX);
      }
    }
  }

  /** A source that javac reads from memory. */
  private static final class Source extends SimpleJavaFileObject {
    private final String text;

    Source(String text) {
      super(URI.create("mem:///Source.java"), Kind.SOURCE);
      this.text = text;
    }

    @Override
    public CharSequence getCharContent(boolean ignoreEncodingErrors) {
      return text;
    }
  }
}
