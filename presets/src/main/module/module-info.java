/** Generated bindings to the native library, and the loader that finds it. Internal to LLM Mobile. */
module io.github.llmmobile.presets {
  requires org.bytedeco.javacpp;
  requires org.slf4j;

  exports io.github.llmmobile.internal.jni to
      io.github.llmmobile.core;
  exports io.github.llmmobile.internal.loader to
      io.github.llmmobile.core;
  // JavaCPP creates the preset by reflection.
  exports io.github.llmmobile.presets to
      org.bytedeco.javacpp;
}
