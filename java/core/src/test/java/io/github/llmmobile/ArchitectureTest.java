package io.github.llmmobile;

import static com.tngtech.archunit.base.DescribedPredicate.describe;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.fields;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaCodeUnit;
import com.tngtech.archunit.core.domain.JavaField;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.core.importer.Location;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchCondition;
import com.tngtech.archunit.lang.ArchRule;
import com.tngtech.archunit.lang.ConditionEvents;
import com.tngtech.archunit.lang.SimpleConditionEvent;
import java.util.Set;

/** Who may know whom. */
@AnalyzeClasses(packages = "io.github.llmmobile", importOptions = {
    ImportOption.DoNotIncludeTests.class, ArchitectureTest.OnlyCore.class})
class ArchitectureTest {
  private static final String API = "io.github.llmmobile";
  private static final String CONFIG = "io.github.llmmobile.config";
  private static final String GGUF = "io.github.llmmobile.gguf";
  private static final String INTERNAL = "io.github.llmmobile.internal";

  /** The classes with a native object behind them, and their helpers. All others of the API are plain values. */
  private static final Set<String> DOORS = Set.of(
      "LlmModel", "LlmSession", "LoraAdapter", "LlmMobile", "Generation", "PagePlan", "PrunePlan", "LayerPlan");

  /** The presets' packages are on the class path too. */
  static final class OnlyCore implements ImportOption {
    @Override
    public boolean includes(Location location) {
      return !location.contains("/internal/jni/") && !location.contains("/internal/loader/")
          && !location.contains("llmmobile/presets/");
    }
  }

  @ArchTest
  static final ArchRule onlyInternalTouchesTheBindings = noClasses().that().resideOutsideOfPackage(INTERNAL)
      .should().dependOnClassesThat().resideInAnyPackage(
          "io.github.llmmobile.internal.jni..", "io.github.llmmobile.internal.loader..", "org.bytedeco..");

  @ArchTest
  static final ArchRule onlyDoorsUseInternal = noClasses()
      .that(describe("are values of the API", type -> type.getPackageName().equals(API)
          && !DOORS.contains(outermost(type).getSimpleName())))
      .should().dependOnClassesThat().resideInAPackage(INTERNAL);

  @ArchTest
  static final ArchRule configurationKnowsOnlyErrors = noClasses().that().resideInAPackage(CONFIG)
      .should().dependOnClassesThat(describe("are not errors", type -> type.getPackageName().startsWith(API)
          && !type.getPackageName().equals(CONFIG)
          && !Set.of("ErrorCode", "LlmException").contains(type.getSimpleName())));

  /** All but the codec is plain Java. */
  @ArchTest
  static final ArchRule filesKnowOnlyErrors = noClasses().that().resideInAPackage(GGUF)
      .should().dependOnClassesThat(describe("are neither errors nor the codec's", type ->
          type.getPackageName().startsWith(API) && !type.getPackageName().equals(GGUF)
          && !Set.of("ErrorCode", "LlmException", "ModelUnavailableException", "NativeTensors")
              .contains(type.getSimpleName())));

  @ArchTest
  static final ArchRule internalKnowsNoConfigurationAndNoDoors = noClasses().that().resideInAPackage(INTERNAL)
      .should().dependOnClassesThat(describe("are configuration or doors", type -> type.getPackageName().equals(CONFIG)
          || type.getPackageName().equals(API) && DOORS.contains(outermost(type).getSimpleName())));

  @ArchTest
  static final ArchRule signaturesHideInternalTypes = classes()
      .that().resideInAnyPackage(API, CONFIG, GGUF).and().arePublic().should(new ExposeNoInternalTypes());

  @ArchTest
  static final ArchRule noTestFrameworks = noClasses().should().dependOnClassesThat(
      resideInAPackage("org.junit..").or(resideInAPackage("com.tngtech..")));

  @ArchTest
  static final ArchRule nothingIsPrinted = noClasses().should().accessField(System.class, "out")
      .orShould().accessField(System.class, "err");

  /** Whether the library is loaded is process-wide by nature. */
  @ArchTest
  static final ArchRule noMutableStatics = fields().that().areStatic()
      .and().areNotDeclaredIn("io.github.llmmobile.internal.NativeRuntime").should().beFinal();

  private static JavaClass outermost(JavaClass type) {
    JavaClass outer = type;
    while (outer.getEnclosingClass().isPresent()) {
      outer = outer.getEnclosingClass().get();
    }
    return outer;
  }

  private static final class ExposeNoInternalTypes extends ArchCondition<JavaClass> {
    ExposeNoInternalTypes() {
      super("expose no internal types");
    }

    @Override
    public void check(JavaClass type, ConditionEvents events) {
      type.getRawSuperclass().ifPresent(parent -> reject(type, parent, type.getName(), events));
      type.getRawInterfaces().forEach(parent -> reject(type, parent, type.getName(), events));
      for (JavaCodeUnit unit : type.getCodeUnits()) {
        if (visible(unit.getModifiers())) {
          reject(type, unit.getRawReturnType(), unit.getFullName(), events);
          unit.getRawParameterTypes().forEach(p -> reject(type, p, unit.getFullName(), events));
          unit.getExceptionTypes().forEach(p -> reject(type, p, unit.getFullName(), events));
        }
      }
      for (JavaField field : type.getFields()) {
        if (visible(field.getModifiers())) {
          reject(type, field.getRawType(), field.getFullName(), events);
        }
      }
    }

    private static boolean visible(Set<JavaModifier> modifiers) {
      return modifiers.contains(JavaModifier.PUBLIC) || modifiers.contains(JavaModifier.PROTECTED);
    }

    private static void reject(JavaClass owner, JavaClass used, String where, ConditionEvents events) {
      if (used.getPackageName().startsWith(INTERNAL) || used.getPackageName().startsWith("org.bytedeco")
          || used.getPackageName().startsWith("com.google.gson")) {
        events.add(SimpleConditionEvent.violated(owner, where + " exposes " + used.getName()));
      }
    }
  }
}
