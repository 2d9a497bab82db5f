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
import java.util.Map;
import java.util.regex.Pattern;
import javax.tools.Diagnostic;
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

  private final List<String> violations = new ArrayList<>();

  private SourceScan() {}

  /**
   * Everything untidy in some files, as {@code name:line: what}. All at once: javac takes longer to
   * begin than to parse a file.
   *
   * @param texts the files' content by their names, as they are to be shown
   */
  static List<String> violations(Map<String, String> texts) {
    SourceScan scan = new SourceScan();
    texts.forEach(scan::lines);
    scan.methods(texts);
    return scan.violations;
  }

  private void lines(String name, String text) {
    List<String> lines = text.lines().toList();
    if (lines.size() > FILE_LINES_MAX) {
      violate(name, lines.size(), "file has " + lines.size() + " lines, at most " + FILE_LINES_MAX);
    }
    for (int i = 0; i < lines.size(); i++) {
      if (PROMISE.matcher(lines.get(i)).find() && !ISSUE.matcher(lines.get(i)).find()) {
        violate(name, i + 1, "promise without an issue number such as #12");
      }
    }
  }

  private void methods(Map<String, String> texts) {
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    DiagnosticCollector<JavaFileObject> problems = new DiagnosticCollector<>();
    List<Source> sources = new ArrayList<>();
    texts.forEach((name, text) -> sources.add(new Source(name, text)));
    JavacTask task =
        (JavacTask) compiler.getTask(null, null, problems, List.of("-proc:none"), null, sources);
    try {
      for (CompilationUnitTree unit : task.parse()) {
        new Measure(unit, Trees.instance(task).getSourcePositions()).scan(unit, null);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    for (Diagnostic<? extends JavaFileObject> problem : problems.getDiagnostics()) {
      JavaFileObject source = problem.getSource();
      String name = source == null ? "?" : source.getName();
      violate(name, problem.getLineNumber(), "cannot be parsed");
    }
  }

  private void violate(String name, long line, String what) {
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
        String name = unit.getSourceFile().getName();
        violate(name, first, what + " has " + lines + " lines, at most " + METHOD_LINES_MAX);
      }
    }
  }

  /** A source that javac reads from memory. */
  private static final class Source extends SimpleJavaFileObject {
    private final String name;
    private final String text;

    Source(String name, String text) {
      super(URI.create("mem:///" + name), Kind.SOURCE);
      this.name = name;
      this.text = text;
    }

    @Override
    public String getName() {
      return name;
    }

    @Override
    public CharSequence getCharContent(boolean ignoreEncodingErrors) {
      return text;
    }
  }
}
