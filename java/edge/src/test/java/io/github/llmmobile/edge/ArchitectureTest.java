package io.github.llmmobile.edge;

import static com.tngtech.archunit.base.DescribedPredicate.describe;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.methods;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaMethod;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.core.importer.Location;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchCondition;
import com.tngtech.archunit.lang.ArchRule;
import com.tngtech.archunit.lang.ConditionEvents;
import com.tngtech.archunit.lang.SimpleConditionEvent;

/** Who may know whom. */
@AnalyzeClasses(packages = "io.github.llmmobile.edge", importOptions = {
    ImportOption.DoNotIncludeTests.class, ArchitectureTest.OnlyWritten.class})
class ArchitectureTest {
  private static final String EDGE = "io.github.llmmobile.edge";

  /** Generated messages are as they are. */
  static final class OnlyWritten implements ImportOption {
    @Override
    public boolean includes(Location location) {
      return !location.contains("/edge/proto/") && !location.contains("/edge/health/");
    }
  }

  @ArchTest
  static final ArchRule onlyTheWorkerNeedsTheServersTransport = noClasses().that()
      .resideOutsideOfPackage(EDGE + ".worker").should().dependOnClassesThat().resideInAPackage("io.grpc.netty..");

  @ArchTest
  static final ArchRule theClientDoesNotKnowTheWorker = noClasses().that()
      .resideOutsideOfPackage(EDGE + ".worker").should().dependOnClassesThat().resideInAPackage(EDGE + ".worker");

  @ArchTest
  static final ArchRule theCoreIsUsedThroughItsApi = noClasses()
      .should().dependOnClassesThat().resideInAnyPackage("io.github.llmmobile.internal..", "org.bytedeco..");

  @ArchTest
  static final ArchRule nothingIsPrinted = noClasses().should().accessField(System.class, "out")
      .orShould().accessField(System.class, "err");

  @ArchTest
  static final ArchRule theApiHidesGrpc = methods().that().areDeclaredInClassesThat(describe("are the API",
          type -> type.getModifiers().contains(JavaModifier.PUBLIC) && !type.getPackageName().equals(EDGE + ".wire")))
      .and().arePublic().should(new ArchCondition<JavaMethod>("name no types of gRPC, Protocol Buffers or the wire") {
        @Override
        public void check(JavaMethod method, ConditionEvents events) {
          if (foreign(method.getRawReturnType()) || method.getRawParameterTypes().stream().anyMatch(this::foreign)) {
            events.add(SimpleConditionEvent.violated(method, method.getFullName()));
          }
        }

        private boolean foreign(JavaClass type) {
          String name = type.getPackageName();
          return name.startsWith("io.grpc") || name.startsWith("com.google.") || name.equals(EDGE + ".wire")
              || name.equals(EDGE + ".proto");
        }
      });
}
