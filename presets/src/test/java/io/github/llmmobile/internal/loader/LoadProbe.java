package io.github.llmmobile.internal.loader;

import io.github.llmmobile.internal.jni.Llmm;
import org.bytedeco.javacpp.Pointer;

/** A program that tests run in a JVM of its own: loads the library twice and prints what came of it. */
public final class LoadProbe {

  private LoadProbe() {}

  /**
   * Runs the probe.
   *
   * @param args none
   */
  public static void main(String[] args) {
    for (int i = 1; i <= 2; i++) {
      try {
        NativeLoader.load();
        System.out.println("LOADED " + NativeLibrary.link().get());
        System.out.println("ABI " + Llmm.llmm_abi_version());
        System.out.println("BUILD " + Llmm.llmm_build_info().getString());
        System.out.println("LIMIT " + Pointer.maxPhysicalBytes());
      } catch (UnsatisfiedLinkError e) {
        System.out.println("FAILED " + i + " " + e.getMessage());
        System.out.println("CAUSE " + i + " " + e.getCause());
        System.out.println("LIMIT " + System.getProperty(NativeProperties.MAX_PHYSICAL_BYTES));
      }
    }
  }
}
