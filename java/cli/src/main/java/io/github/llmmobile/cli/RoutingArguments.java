package io.github.llmmobile.cli;

import io.github.llmmobile.edge.policy.TokenRouter;
import io.github.llmmobile.edge.remote.RoutedGenerator;
import java.util.Locale;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** What of an answer comes from the larger model. */
final class RoutingArguments {
  /** What is decided at once. */
  enum Level {
    TOKEN(RoutedGenerator.Level.TOKEN), REQUEST(RoutedGenerator.Level.REQUEST);

    private final RoutedGenerator.Level value;

    Level(RoutedGenerator.Level value) {
      this.value = value;
    }

    RoutedGenerator.Level value() {
      return value;
    }

    /** As it is typed. */
    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  @Mixin RemoteArguments remote = new RemoteArguments();

  @Option(names = "--remote-share", paramLabel = "X", defaultValue = "" + TokenRouter.DEFAULT_SHARE,
      description = "Share of the tokens that the larger model writes, 0 to 1, default ${DEFAULT-VALUE}; at the level of"
          + " requests, of the requests.")
  double share = TokenRouter.DEFAULT_SHARE;

  @Option(names = "--remote-level", paramLabel = "token|request", defaultValue = "token",
      description = "Hand over hard tokens (default) or hard requests as a whole.")
  Level level = Level.TOKEN;

  @Option(names = "--remote-burst", paramLabel = "N", defaultValue = "" + RoutedGenerator.DEFAULT_BURST_TOKENS,
      description = "Tokens that the larger model writes when it is asked, default ${DEFAULT-VALUE}.")
  int burst = RoutedGenerator.DEFAULT_BURST_TOKENS;

  @Option(names = "--explain-routing",
      description = "Show on standard error where the parts of the answer came from, and why.")
  boolean explain;

  /** Whether there is a larger model. */
  boolean active() {
    return remote.url != null;
  }

  void check(boolean worker) {
    if (!active() && !worker && explain) {
      throw CliException.usage("--explain-routing needs a larger model or a worker",
          "add --remote-model URL or --worker HOST:PORT");
    }
    if (!(share >= 0 && share <= 1)) {
      throw CliException.usage("--remote-share must be from 0 to 1, but is " + share, "0.12 is the default");
    }
    if (burst < 1) {
      throw CliException.usage("--remote-burst must be at least 1, but is " + burst, "2 is the default");
    }
  }
}
