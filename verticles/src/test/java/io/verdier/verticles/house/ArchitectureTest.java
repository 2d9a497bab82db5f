package io.verdier.verticles.house;

import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.lang.ArchCondition;
import com.tngtech.archunit.lang.ArchRule;
import com.tngtech.archunit.lang.ConditionEvents;
import com.tngtech.archunit.lang.SimpleConditionEvent;
import io.vertx.core.Vertx;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.jspecify.annotations.NullMarked;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * Who may use what: the house plan's rules over the class files of all four modules. A rule that
 * must bend is bent here, in its list, with the reason; nowhere else.
 */
final class ArchitectureTest {
  /** Off-heap memory and native calls: a pointer never leaves these. */
  private static final String[] NATIVE_PACKAGES = {
    "io.verdier.engine.tensor..",
    "io.verdier.engine.weights..",
    "io.verdier.engine.backend..",
    "io.verdier.cache.host..",
  };

  /** Programs that print for a person at a terminal. All else logs or counts. */
  private static final String[] CONSOLE_PACKAGES = {
    "io.verdier.verticles", // Main
    "io.verdier.verticles.launch..",
    "io.verdier.verticles.bench..",
  };

  private static JavaClasses project;

  @BeforeAll
  static void read() {
    project =
        new ClassFileImporter()
            .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
            .importPackages("io.verdier");
  }

  @Test
  void classFiles_read_holdAllModules() {
    Set<String> modules = new TreeSet<>();
    project.forEach(type -> modules.add(type.getPackageName().split("\\.")[2]));

    assertThat(modules).containsExactlyInAnyOrderElementsOf(Checkout.MODULES);
  }

  @Test
  void modules_all_dependOneWay() {
    List<String> order = Checkout.MODULES;
    for (int i = 0; i < order.size(); i++) {
      String[] above =
          order.subList(i + 1, order.size()).stream()
              .map(ArchitectureTest::inside)
              .toArray(String[]::new);
      if (above.length > 0) {
        check(
            noClasses()
                .that()
                .resideInAPackage(inside(order.get(i)))
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage(above)
                .because("modules depend one way: conf, cache, engine, verticles"));
      }
    }
  }

  @Test
  void packages_all_areFreeOfCycles() {
    check(
        slices()
            .matching("io.verdier.(*).(*)..") // a package and what lies inside it are one room
            .should()
            .beFreeOfCycles()
            .because("a reader goes downwards and must arrive"));
  }

  @Test
  void vertx_used_onlyInVerticles() {
    check(
        noClasses()
            .that()
            .resideOutsideOfPackage("io.verdier.verticles..")
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage("io.vertx..", "io.netty..", "com.hazelcast..")
            .because("decisions and maths are tested without threads, bus and network"));
  }

  @Test
  void eventBus_taken_onlyInBus() {
    check(
        noClasses()
            .that()
            .resideOutsideOfPackage("io.verdier.verticles.bus..")
            .should()
            .callMethod(Vertx.class, "eventBus")
            .because("Bus says who may send what to whom, in one place"));
  }

  @Test
  void nativeMemory_used_onlyByItsOwners() {
    check(
        noClasses()
            .that()
            .resideOutsideOfPackages(NATIVE_PACKAGES)
            .should()
            .dependOnClassesThat(resideInAnyPackage("java.lang.foreign", "sun.misc"))
            .because("a native pointer never leaves the packages that check its bounds"));
  }

  @Test
  void environment_read_onlyInConf() {
    check(
        noClasses()
            .that()
            .resideOutsideOfPackage("io.verdier.conf..")
            .should()
            .callMethod(System.class, "getenv")
            .orShould()
            .callMethod(System.class, "getenv", String.class)
            .because("every setting has one name, one precedence and one place in the help"));
  }

  @Test
  void console_written_onlyByPrograms() {
    check(
        noClasses()
            .that()
            .resideOutsideOfPackages(CONSOLE_PACKAGES)
            .should()
            .accessField(System.class, "out")
            .orShould()
            .accessField(System.class, "err")
            .orShould()
            .callMethod(Throwable.class, "printStackTrace")
            .because("a server logs through SLF4J, or counts"));
  }

  @Test
  void javaUtilLogging_used_onlyToSilenceOthers() {
    check(
        noClasses()
            .that()
            .doNotHaveFullyQualifiedName("io.verdier.verticles.observe.trace.Exporters")
            .should()
            .dependOnClassesThat()
            .resideInAPackage("java.util.logging..")
            .because("SLF4J is the one way to log"));
  }

  @Test
  void javaSerialization_used_nowhere() {
    check(
        noClasses()
            .should()
            .dependOnClassesThat()
            .haveNameMatching("java\\.io\\.Object(Input|Output)Stream")
            .because("what crosses nodes has an explicit binary codec"));
  }

  @Test
  void packages_all_areNullMarked() {
    check(classes().should(LIVE_IN_A_NULL_MARKED_PACKAGE));
  }

  /** The rules must be able to fail. */
  @Test
  void rules_broken_fail() {
    JavaClasses self = new ClassFileImporter().importClasses(ArchitectureTest.class, Sinner.class);

    Stream.of(
            noClasses().should().callMethod(System.class, "getenv", String.class),
            noClasses().should().accessField(System.class, "out"),
            noClasses().should().callMethod(Vertx.class, "eventBus"),
            classes().should(LIVE_IN_A_NULL_MARKED_PACKAGE))
        .forEach(
            rule -> assertThatThrownBy(() -> rule.check(self)).isInstanceOf(AssertionError.class));
  }

  private static final ArchCondition<JavaClass> LIVE_IN_A_NULL_MARKED_PACKAGE =
      new ArchCondition<>("live in a package whose package-info says @NullMarked") {
        @Override
        public void check(JavaClass type, ConditionEvents events) {
          boolean marked =
              type.getPackage()
                  .tryGetPackageInfo()
                  .map(info -> info.isAnnotatedWith(NullMarked.class))
                  .orElse(false);
          if (!marked) {
            String text = type.getName() + ": its package is not @NullMarked";
            events.add(SimpleConditionEvent.violated(type, text));
          }
        }
      };

  private static String inside(String module) {
    return "io.verdier." + module + "..";
  }

  private static void check(ArchRule rule) {
    rule.allowEmptyShould(true).check(project); // a young package may hold nothing yet
  }

  /** Does what the rules forbid. */
  private static final class Sinner implements Consumer<Vertx> {
    @Override
    public void accept(Vertx vertx) {
      System.out.println(System.getenv("PATH") + vertx.eventBus());
    }
  }
}
