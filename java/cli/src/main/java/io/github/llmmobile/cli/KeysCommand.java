package io.github.llmmobile.cli;

import com.google.gson.JsonObject;
import io.github.llmmobile.cli.console.CliEnvironment;
import io.github.llmmobile.edge.keys.CertificatePin;
import io.github.llmmobile.edge.keys.KeyFolder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code keys}: what a worker and its clients need to know each other. */
@Command(name = "keys", header = "Make keys and certificates for a worker and its clients.",
    description = "Writes a certificate authority, certificates for TLS in both directions, and the key pair that session"
        + " keys are wrapped with. A worker needs ca.pem, worker.pem, worker.key, worker-hpke.key and worker-hpke.pub; a"
        + " client needs ca.pem, client.pem, client.key, worker-hpke.pub and worker.pin. Nothing is overwritten. The"
        + " authority is good"
        + " for ten years, the certificates for two.",
    footerHeading = "%nExamples:%n",
    footer = {
      "  llm-mobile keys keys --host worker.example --host 192.0.2.7",
      "  llm-mobile keys keys --client keys-of-anna",
      "  llm-mobile worker --layers 15:30 --listen 0.0.0.0:7443 --tls keys",
      "  llm-mobile run --worker worker.example:7443 --tls keys \"Hi\"",
    })
final class KeysCommand implements Callable<Integer> {
  private final CliEnvironment env;

  @Parameters(arity = "1", paramLabel = "DIR", description = "Folder for the files; made if it is missing.")
  Path folder = Path.of("");

  @Option(names = "--host", paramLabel = "NAME",
      description = "Name or address under which clients reach the worker, besides localhost. May be given more than once.")
  List<String> hosts = new ArrayList<>();

  @Option(names = "--client", paramLabel = "DIR2",
      description = "Make no new authority, but what one more client needs, in DIR2, from the ca.key and ca.pem in DIR."
          + " Workers tell clients apart by their certificates.")
  @Nullable Path client;

  @Mixin CommonArguments common = new CommonArguments();

  KeysCommand(CliEnvironment env) {
    this.env = env;
  }

  @Override
  public Integer call() {
    Path made = client == null ? folder : client;
    KeyFolder keys =
        client == null ? KeyFolder.create(folder, hosts) : KeyFolder.open(folder).addClient(client);
    String pin = keys.pin().map(CertificatePin::toString).orElse("");
    if (common.json) {
      JsonObject json = new JsonObject();
      json.addProperty("folder", made.toString());
      json.addProperty("pin", pin);
      env.out().println(Json.line(json));
    } else {
      env.out().println("keys and certificates are in " + made + "; *.key files are secret");
      if (!pin.isEmpty()) {
        env.out().println("the worker's pin is " + pin);
      }
    }
    return ExitCode.OK.number();
  }
}
