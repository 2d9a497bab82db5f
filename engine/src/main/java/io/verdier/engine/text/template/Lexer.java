package io.verdier.engine.text.template;

import java.math.BigInteger;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/**
 * Cuts a template into tokens. Owned by the parsing thread.
 *
 * <p>White space follows Jinja with {@code trim_blocks} and {@code lstrip_blocks} on, as model
 * files expect: a line break right after a statement or comment goes, blanks before one that starts
 * its line go, {@code -} strips everything on its side, {@code +} keeps everything. Line breaks
 * become {@code \n}; one at the very end of the template is dropped.
 */
final class Lexer {
  private final String source;
  private final List<Token> tokens = new ArrayList<>();
  private int position;
  private int line = 1;

  /** Everything before this has been counted into {@code line}. */
  private int counted;

  private Lexer(String source) {
    this.source = source;
  }

  static List<Token> tokens(String template) {
    String source = template.replace("\r\n", "\n").replace('\r', '\n');
    if (source.endsWith("\n")) {
      source = source.substring(0, source.length() - 1);
    }
    Lexer lexer = new Lexer(source);
    lexer.run();
    return lexer.tokens;
  }

  private void run() {
    while (position < source.length()) {
      int tag = nextTag();
      if (tag < 0) {
        text(source.substring(position));
        position = source.length();
      } else {
        tag(tag);
      }
    }
    add(Token.Kind.END, "");
  }

  private int nextTag() {
    for (int i = source.indexOf('{', position); i >= 0; i = source.indexOf('{', i + 1)) {
      char next = i + 1 < source.length() ? source.charAt(i + 1) : ' ';
      if (next == '{' || next == '%' || next == '#') {
        return i;
      }
    }
    return -1;
  }

  /** The text before a tag, then the tag. */
  private void tag(int start) {
    char type = source.charAt(start + 1);
    int inside = start + 2;
    char sign = inside < source.length() ? source.charAt(inside) : ' ';
    boolean signed = sign == '-' || sign == '+';
    String before = source.substring(position, start);
    if (sign == '-') {
      before = Chars.stripped(before, false, true);
    } else if (sign != '+' && type != '{') {
      before = withoutIndent(before);
    }
    text(before);
    position = signed ? inside + 1 : inside;
    switch (type) {
      case '#' -> comment();
      case '{' -> {
        add(Token.Kind.OUTPUT_BEGIN, "{{");
        expressionTokens(Token.Kind.OUTPUT_END);
      }
      default -> {
        int raw = rawBegin();
        if (raw >= 0) {
          raw(raw);
        } else {
          add(Token.Kind.BLOCK_BEGIN, "{%");
          expressionTokens(Token.Kind.BLOCK_END);
        }
      }
    }
  }

  /** Without the blanks between the last line break and a tag, if there is nothing else. */
  private String withoutIndent(String before) {
    int start = before.lastIndexOf('\n') + 1;
    boolean lineStart = start > 0 || position == 0 || source.charAt(position - 1) == '\n';
    return lineStart && Chars.isBlank(before, start, before.length())
        ? before.substring(0, start)
        : before;
  }

  private void comment() {
    int end = source.indexOf("#}", position);
    if (end < 0) {
      throw TemplateException.syntax("missing end of comment tag", lineAt(position));
    }
    char sign = end > position ? source.charAt(end - 1) : ' ';
    position = afterTag(end + 2, sign);
  }

  /** Where the text after a statement or comment goes on. */
  private int afterTag(int end, char sign) {
    if (sign == '-') {
      return Chars.skipSpace(source, end);
    }
    boolean trimmed = sign != '+' && end < source.length() && source.charAt(end) == '\n';
    return trimmed ? end + 1 : end;
  }

  /** End of {@code raw %}} if the tag is one, else -1. */
  private int rawBegin() {
    int end = keyword(position, "raw");
    if (end < 0) {
      return -1;
    }
    if (source.startsWith("-%}", end)) {
      return Chars.skipSpace(source, end + 3);
    }
    return source.startsWith("%}", end) ? end + 2 : -1;
  }

  /** Behind the keyword and the blanks around it, -1 if it is not there. */
  private int keyword(int from, String keyword) {
    int start = Chars.skipSpace(source, from);
    return source.startsWith(keyword, start)
        ? Chars.skipSpace(source, start + keyword.length())
        : -1;
  }

  private void raw(int start) {
    for (int tag = source.indexOf("{%", start); tag >= 0; tag = source.indexOf("{%", tag + 2)) {
      char sign = tag + 2 < source.length() ? source.charAt(tag + 2) : ' ';
      int end = keyword(sign == '-' || sign == '+' ? tag + 3 : tag + 2, "endraw");
      if (end < 0) {
        continue;
      }
      char endSign = end < source.length() ? source.charAt(end) : ' ';
      int close = endSign == '-' || endSign == '+' ? end + 1 : end;
      if (source.startsWith("%}", close)) {
        position = start;
        String body = source.substring(start, tag);
        if (sign == '-') {
          body = Chars.stripped(body, false, true);
        } else if (sign != '+') {
          body = withoutIndent(body);
        }
        text(body);
        position = afterTag(close + 2, endSign);
        return;
      }
    }
    throw TemplateException.syntax("missing end of raw directive", lineAt(start));
  }

  private void expressionTokens(Token.Kind end) {
    Deque<Character> open = new ArrayDeque<>();
    while (true) {
      position = Chars.skipSpace(source, position);
      if (position >= source.length()) {
        throw TemplateException.syntax("the template ends inside a tag", lineAt(position));
      }
      if (open.isEmpty() && close(end)) {
        return;
      }
      char c = source.charAt(position);
      if (c == '\'' || c == '"') {
        string(c);
      } else if (c >= '0' && c <= '9') {
        number();
      } else if (isNamePart(source.codePointAt(position))) {
        name();
      } else {
        operator(open);
      }
    }
  }

  private boolean close(Token.Kind end) {
    char sign = source.charAt(position);
    boolean block = end == Token.Kind.BLOCK_END;
    boolean signed = sign == '-' || (sign == '+' && block);
    int close = signed ? position + 1 : position;
    if (!source.startsWith(block ? "%}" : "}}", close)) {
      return false;
    }
    add(end, block ? "%}" : "}}");
    if (block) {
      position = afterTag(close + 2, signed ? sign : ' ');
    } else {
      position = signed ? Chars.skipSpace(source, close + 2) : close + 2;
    }
    return true;
  }

  private void string(char quote) {
    int end = position + 1;
    while (end < source.length() && source.charAt(end) != quote) {
      end += source.charAt(end) == '\\' ? 2 : 1;
    }
    if (end >= source.length()) {
      throw TemplateException.syntax("a string literal has no end", lineAt(position));
    }
    String raw = source.substring(position + 1, end);
    int at = lineAt(position);
    tokens.add(new Token(Token.Kind.STRING, "", StringLiteral.decoded(raw, at), at));
    position = end + 1;
  }

  private void name() {
    int end = position;
    while (end < source.length() && isNamePart(source.codePointAt(end))) {
      end += Character.charCount(source.codePointAt(end));
    }
    String name = source.substring(position, end);
    int first = name.codePointAt(0);
    if (first != '_' && !Character.isUnicodeIdentifierStart(first)) {
      throw TemplateException.syntax("invalid character in identifier", lineAt(position));
    }
    add(Token.Kind.NAME, name);
    position = end;
  }

  private static boolean isNamePart(int c) {
    return c == '_' || Character.isLetterOrDigit(c);
  }

  private void number() {
    int start = position;
    int radix = radixAt(start);
    if (radix != 10) {
      int end = digits(start + 2, radix);
      integer(source.substring(start + 2, end), radix);
      position = end;
      return;
    }
    int whole = digits(start, 10);
    int end = whole;
    boolean afterDot = start > 0 && source.charAt(start - 1) == '.';
    if (!afterDot) {
      end = fractionEnd(whole);
    }
    if (end > whole) {
      String text = source.substring(start, end).replace("_", "");
      int at = lineAt(start);
      tokens.add(new Token(Token.Kind.FLOAT, "", Double.valueOf(text), at));
      position = end;
      return;
    }
    if (source.charAt(start) == '0') {
      whole = zerosEnd(start);
    }
    integer(source.substring(start, whole), 10);
    position = whole;
  }

  /** 2, 8 or 16 where a prefix and a digit say so. */
  private int radixAt(int start) {
    if (source.charAt(start) != '0' || start + 2 >= source.length()) {
      return 10;
    }
    int radix =
        switch (source.charAt(start + 1)) {
          case 'b', 'B' -> 2;
          case 'o', 'O' -> 8;
          case 'x', 'X' -> 16;
          default -> 10;
        };
    return digits(start + 2, radix) > start + 2 ? radix : 10;
  }

  /** End of the digits from here; single underscores between digits belong to them. */
  private int digits(int from, int radix) {
    int end = from;
    while (end < source.length()) {
      char c = source.charAt(end);
      boolean underscore =
          c == '_' && end + 1 < source.length() && isDigit(source.charAt(end + 1), radix);
      if (!underscore && !isDigit(c, radix)) {
        break;
      }
      end++;
    }
    return end;
  }

  private static boolean isDigit(char c, int radix) {
    return c < 128 && Character.digit(c, radix) >= 0;
  }

  /** End of a fraction and exponent behind the digits, or the argument where there is none. */
  private int fractionEnd(int whole) {
    int end = whole;
    if (end + 1 < source.length()
        && source.charAt(end) == '.'
        && isDigit(source.charAt(end + 1), 10)) {
      end = digits(end + 1, 10);
    }
    if (end < source.length() && (source.charAt(end) == 'e' || source.charAt(end) == 'E')) {
      int exponent = end + 1;
      if (exponent < source.length() && "+-".indexOf(source.charAt(exponent)) >= 0) {
        exponent++;
      }
      if (exponent < source.length() && isDigit(source.charAt(exponent), 10)) {
        end = digits(exponent, 10);
      }
    }
    return end;
  }

  /** Python allows no other digit after a leading zero: {@code 007} is three tokens' worth. */
  private int zerosEnd(int start) {
    int end = start;
    while (end < source.length() && (source.charAt(end) == '0' || source.charAt(end) == '_')) {
      end++;
    }
    return end;
  }

  private void integer(String text, int radix) {
    int at = lineAt(position);
    String digits = text.replace("_", "");
    if (digits.length() > 4300) {
      throw TemplateException.syntax("an integer literal has more than 4300 digits", at);
    }
    Object value = Operators.shrunk(new BigInteger(digits, radix));
    tokens.add(new Token(Token.Kind.INTEGER, "", value, at));
  }

  private void operator(Deque<Character> open) {
    String two = source.substring(position, Math.min(position + 2, source.length()));
    String symbol =
        switch (two) {
          case "//", "**", "==", "!=", ">=", "<=" -> two;
          default -> two.substring(0, 1);
        };
    if ("+-/*%~[](){}><=.:|,;//**==!=>=<=".indexOf(symbol) < 0 || symbol.equals("!")) {
      throw TemplateException.syntax("unexpected character '" + symbol + "'", lineAt(position));
    }
    switch (symbol) {
      case "(" -> open.push(')');
      case "[" -> open.push(']');
      case "{" -> open.push('}');
      case ")", "]", "}" -> {
        char expected = open.isEmpty() ? ' ' : open.pop();
        if (expected != symbol.charAt(0)) {
          throw TemplateException.syntax(
              "unexpected '"
                  + symbol
                  + "'"
                  + (expected == ' ' ? "" : ", expected '" + expected + "'"),
              lineAt(position));
        }
      }
      default -> {}
    }
    add(Token.Kind.OPERATOR, symbol);
    position += symbol.length();
  }

  private void text(String text) {
    if (!text.isEmpty()) {
      add(Token.Kind.TEXT, text);
    }
  }

  private void add(Token.Kind kind, String text) {
    tokens.add(new Token(kind, text, lineAt(position)));
  }

  private int lineAt(int index) {
    for (; counted < Math.min(index, source.length()); counted++) {
      if (source.charAt(counted) == '\n') {
        line++;
      }
    }
    return line;
  }
}
