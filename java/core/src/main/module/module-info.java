/** Run GGUF language models on the device at hand. */
module io.github.llmmobile.core {
  requires io.github.llmmobile.presets;
  requires com.google.gson;
  requires org.bytedeco.javacpp;
  requires org.slf4j;
  requires static org.jspecify;

  exports io.github.llmmobile;
  exports io.github.llmmobile.config;
  exports io.github.llmmobile.gguf;
  exports io.github.llmmobile.spi;

  uses io.github.llmmobile.spi.EdgeCloud;
}
