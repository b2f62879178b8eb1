/** The command line of LLM Mobile. */
module io.github.llmmobile.cli {
  requires io.github.llmmobile.core;
  requires io.github.llmmobile.edge;
  requires java.net.http;
  requires com.google.gson;
  requires info.picocli;
  requires java.logging;
  requires jdk.httpserver;
  requires org.bytedeco.javacpp;
  requires org.bytedeco.openblas;
  requires org.jline;
  requires org.slf4j;
  requires static org.jspecify;

  // picocli reads and writes the annotated fields by reflection.
  opens io.github.llmmobile.cli to
      info.picocli;
  opens io.github.llmmobile.cli.bench to
      info.picocli;
  opens io.github.llmmobile.cli.chat to
      info.picocli;
  opens io.github.llmmobile.cli.needle to
      info.picocli;
}
