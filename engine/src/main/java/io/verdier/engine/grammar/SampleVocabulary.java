package io.verdier.engine.grammar;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.Set;

/**
 * A made-up byte-level vocabulary like those of models, for measurements without a model and for
 * tests: the same for the same size and seed. Owned by its caller.
 *
 * <p>Every byte; runs of white space; numbers of three digits; what punctuation of JSON and of code
 * does; words of syllables, most with a space before them, a few behind a quote; words of other
 * scripts, some cut inside a character. The shares are those of the published vocabularies of 100
 * to 200 thousand tokens, in which six tokens in ten are words of Latin letters.
 */
public final class SampleVocabulary {
  private static final String[] SYLLABLES =
      ("a al an ar as at ba be ber bi bo ca ce ch ci co com con cu da de der di do e ed el en er es"
              + " fa fe fi fo for ga ge gi go gra ha he hi ho i ic il in ing ion is it iz ja jo ka"
              + " ki la le li lo lu ly ma me men mi mo mu na ne ni no nu o ol on or os ou pa pe per"
              + " pi po pre pro qu ra re ri ro ru sa se sh si so st su ta te ter th ti tion to tr tu"
              + " u ul un ur us va ve vi vo wa we wi wo x y za ze zi")
          .split(" ");

  private static final String[] JSON =
      ("\": |\":|\":\"|\": \"|\": {|\": [|\",|\", \"|\",\"|\"}|\"},|\"},{\"|\"}}|\"]|\"],|\"]}|{\"|{}|[]|[\""
              + "|[{|[{\"|\\n|\\\"|\\\\|\\u|\\u00|\\t|\\n\\n|\\\",|\\\":|\":true|\":false|\":null|true|false|null"
              + "| true| false| null|},|},\n|}\n|]\n|],\n|\",\n|\":\n|{\n|[\n|: {|: [|, {|}, {|\"\n|\\r\\n|\"\\"
              + "|\"\"|\" :|\"> |=\"|\"/>|\" \"|.\"|,\"|!\"|?\"|).|');")
          .split("\\|");

  private static final String PUNCTUATION = "{}[]():;,.\"'\\/=<>-+*&|!?#@$%^~_` \n";

  /** First and last code point of other scripts. */
  private static final int[][] SCRIPTS = {
    {0xe0, 0xff},
    {0x430, 0x44f},
    {0x3b1, 0x3c9},
    {0x5d0, 0x5ea},
    {0x627, 0x64a},
    {0x905, 0x939},
    {0xe01, 0xe2e},
    {0x3041, 0x3093},
    {0x30a1, 0x30f6},
    {0xac00, 0xd7a3},
    {0x4e00, 0x9fa5},
    {0x4e00, 0x6fff},
    {0x1f300, 0x1f64f}
  };

  private final Random random;
  private final Set<String> known = new LinkedHashSet<>(); // a character a byte

  private SampleVocabulary(long seed) {
    random = new Random(seed);
  }

  /**
   * The bytes of tokens, by id.
   *
   * @param size at least 256
   */
  public static List<byte[]> tokens(int size, long seed) {
    SampleVocabulary made = new SampleVocabulary(seed);
    made.addFixed();
    while (made.known.size() < size) {
      made.add(made.drawn(made.random.nextInt(100)));
    }
    List<byte[]> tokens = new ArrayList<>();
    for (String token : made.known) {
      if (tokens.size() < size) {
        tokens.add(token.getBytes(StandardCharsets.ISO_8859_1));
      }
    }
    return tokens;
  }

  private void addFixed() {
    for (int value = 0; value < 256; value++) {
      add(new byte[] {(byte) value});
    }
    for (int length = 2; length <= 128; length += length < 64 ? 1 : 16) {
      add(" ".repeat(length));
      if (length < 40) {
        add("\n" + " ".repeat(length));
        add(" ".repeat(length / 2) + "\n");
      }
      if (length < 16) {
        add("\t".repeat(length));
        add("\n".repeat(length));
        add("=".repeat(length));
        add("-".repeat(length));
      }
    }
    for (String piece : JSON) {
      add(piece);
    }
    for (int number = 0; number < 1000; number++) {
      add(String.format("%03d", number));
      add(Integer.toString(number));
      add(String.format("%02d", number % 100));
    }
  }

  private byte[] drawn(int percent) {
    if (percent < 8) {
      return utf8(punctuation());
    }
    if (percent < 32) {
      return otherScript();
    }
    String word = word();
    return utf8(
        switch (percent % 17) {
          case 0, 1, 2, 3, 4, 5 -> " " + word;
          case 6, 7, 8 -> " " + capital(word);
          case 9, 10 -> capital(word);
          case 11 -> word.length() < 6 ? word.toUpperCase(Locale.ROOT) : word;
          case 12 -> word + capital(word());
          case 13 -> joined(word);
          default -> word;
        });
  }

  private String joined(String word) {
    String before = "_.-/(\"'<[\n$@";
    return before.charAt(random.nextInt(before.length())) + word;
  }

  private String word() {
    StringBuilder word = new StringBuilder();
    for (int parts = 1 + random.nextInt(4); parts > 0; parts--) {
      word.append(SYLLABLES[random.nextInt(SYLLABLES.length)]);
    }
    return word.toString();
  }

  private static String capital(String word) {
    return Character.toUpperCase(word.charAt(0)) + word.substring(1);
  }

  private String punctuation() {
    StringBuilder text = new StringBuilder();
    for (int parts = 1 + random.nextInt(4); parts > 0; parts--) {
      text.append(
          random.nextInt(4) == 0
              ? JSON[random.nextInt(JSON.length)]
              : PUNCTUATION.substring(random.nextInt(PUNCTUATION.length())).substring(0, 1));
    }
    return text.toString();
  }

  private byte[] otherScript() {
    int[] script = SCRIPTS[random.nextInt(SCRIPTS.length)];
    StringBuilder text = new StringBuilder(random.nextInt(3) == 0 ? " " : "");
    for (int parts = 1 + random.nextInt(5); parts > 0; parts--) {
      text.appendCodePoint(script[0] + random.nextInt(script[1] - script[0] + 1));
    }
    byte[] bytes = utf8(text.toString());
    if (random.nextInt(25) != 0 || bytes.length < 3) {
      return bytes;
    }
    int cut = random.nextInt(2);
    return Arrays.copyOfRange(bytes, cut, bytes.length - 1 + cut);
  }

  private static byte[] utf8(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private void add(String text) {
    add(utf8(text));
  }

  private void add(byte[] token) {
    known.add(new String(token, StandardCharsets.ISO_8859_1));
  }
}
