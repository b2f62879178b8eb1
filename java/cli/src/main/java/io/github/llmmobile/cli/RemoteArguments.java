package io.github.llmmobile.cli;

import io.github.llmmobile.cli.console.CliEnvironment;
import io.github.llmmobile.edge.policy.CircuitBreaker;
import io.github.llmmobile.edge.policy.LinkEstimator;
import io.github.llmmobile.edge.remote.JdkHttpTransport;
import io.github.llmmobile.edge.remote.RemoteEndpoint;
import io.github.llmmobile.edge.remote.RemoteModelClient;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** A larger model behind an endpoint. The key comes from the environment: a command line can be read by others. */
final class RemoteArguments {
  static final String KEY_VARIABLE = "LLMM_REMOTE_KEY";

  @Option(names = "--remote-model", paramLabel = "URL",
      description = "A larger model behind an OpenAI-compatible endpoint, such as http://127.0.0.1:8080. Its key is"
          + " taken from the variable " + KEY_VARIABLE + ".")
  @Nullable String url;

  @Option(names = "--remote-name", paramLabel = "NAME",
      description = "The model to ask for at the endpoint. Default: the first that it lists.")
  @Nullable String name;

  /** The client; nothing has been sent. */
  RemoteModelClient client(CliEnvironment env, double bandwidthThresholdMbps) {
    if (url == null) {
      throw CliException.usage("no endpoint is given", "--remote-model names one, such as http://127.0.0.1:8080");
    }
    RemoteEndpoint endpoint = RemoteEndpoint.of(url);
    if (name != null) {
      endpoint = endpoint.withModel(name);
    }
    String key = env.variable(KEY_VARIABLE).orElse(null);
    if (key != null) {
      endpoint = endpoint.withApiKey(key);
    }
    if (!endpoint.encrypted() && !endpoint.loopback()) {
      Reports.warn(env, "prompt and answer travel to " + endpoint.base().getHost() + " in the clear; use https");
    }
    return new RemoteModelClient(endpoint, new JdkHttpTransport(), new CircuitBreaker(System::nanoTime),
        new LinkEstimator(bandwidthThresholdMbps, System::nanoTime));
  }
}
