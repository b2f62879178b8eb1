package io.github.llmmobile.cli.chat;

import io.github.llmmobile.CancellationToken;
import io.github.llmmobile.ChatMessage;
import io.github.llmmobile.ErrorCode;
import io.github.llmmobile.LlmCancelledException;
import io.github.llmmobile.LlmException;
import io.github.llmmobile.StopReason;
import io.github.llmmobile.cli.console.CliEnvironment;
import io.github.llmmobile.cli.console.Interrupts;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * One conversation: reads messages and slash commands until the input ends or {@code /quit}. A failed answer is
 * shown, and the conversation goes on without the message that caused it.
 */
public final class ChatLoop {
  /** What {@code /help} prints. */
  static final String HELP = """
      /help         this text
      /reset        forget the conversation (a system message stays)
      /stats        speed and memory so far
      /trim MB      lower the budget of the model's cache and give memory back now
      /save FILE    save the conversation, and the model's cache beside it in FILE.session
      /load FILE    go on with a saved conversation
      /quit         leave, as does Ctrl-D
      //text        a message that begins with a slash
      A line that ends with \\ goes on in the next one. A line that begins with \"""
      opens a block that ends with \""". Ctrl-C stops an answer.
      """;

  private final CliEnvironment env;
  private final ChatEngine engine;
  private final ChatInput input;
  private final Consumer<Throwable> errors;
  private final List<ChatMessage> system;
  private final boolean json;
  private final List<ChatMessage> messages;
  private @Nullable Throwable firstFailure;

  /**
   * A conversation that has not begun.
   *
   * @param env where answers go (required)
   * @param engine what answers (required)
   * @param input where messages come from (required)
   * @param errors shows a failure (required)
   * @param system messages in front of the conversation, perhaps none (required)
   * @param json whether each answer is printed as one line of JSON once it is complete
   */
  public ChatLoop(CliEnvironment env, ChatEngine engine, ChatInput input, Consumer<Throwable> errors,
      List<ChatMessage> system, boolean json) {
    this.env = env;
    this.engine = engine;
    this.input = input;
    this.errors = errors;
    this.system = List.copyOf(system);
    this.json = json;
    messages = new ArrayList<>(system);
  }

  /**
   * Talks until the end.
   *
   * @return the first failure if nobody was there to see it, else null
   */
  public @Nullable Throwable run() {
    MessageReader reader = new MessageReader(input);
    boolean goOn = true;
    while (goOn) {
      try {
        String message = reader.next();
        goOn = message != null && handle(message);
      } catch (ChatInput.LineInterruptedException e) {
        say("Ctrl-D or /quit leaves");
      }
    }
    return input.interactive() ? null : firstFailure;
  }

  /** {@return the conversation so far} */
  List<ChatMessage> messages() {
    return List.copyOf(messages);
  }

  private boolean handle(String message) {
    if (message.isBlank()) {
      return true;
    }
    if (message.startsWith("//")) {
      answer(message.substring(1));
      return true;
    }
    return message.startsWith("/") ? command(message.strip()) : answer(message);
  }

  private boolean answer(String text) {
    messages.add(ChatMessage.user(text));
    CancellationToken cancellation = new CancellationToken();
    try (Interrupts.Registration ignored = input.onInterrupt(cancellation::cancel)) {
      ChatEngine.Answer answer = engine.answer(List.copyOf(messages), cancellation);
      messages.add(ChatMessage.assistant(answer.text()));
      if (json) {
        env.out().println(answer.json());
        env.flush();
      }
      if (answer.stopReason() == StopReason.CONTEXT_FULL) {
        say("the context is full; /reset forgets the conversation, --context makes room for a longer one,"
            + " --eviction-enabled lets it go on without end");
      }
    } catch (LlmCancelledException e) {
      messages.remove(messages.size() - 1);
      say("stopped before the answer began; the message is dropped");
    } catch (LlmException e) {
      messages.remove(messages.size() - 1);
      fail(e);
    }
    return true;
  }

  private boolean command(String line) {
    int space = line.indexOf(' ');
    String name = space < 0 ? line : line.substring(0, space);
    String argument = space < 0 ? "" : line.substring(space + 1).strip();
    switch (name) {
      case "/help":
        env.err().print(HELP);
        break;
      case "/quit":
      case "/exit":
        return false;
      case "/reset":
        messages.clear();
        messages.addAll(system);
        say("forgotten");
        break;
      case "/stats":
        env.err().print(engine.stats());
        break;
      case "/trim":
        trim(argument);
        break;
      case "/save":
        withFile(name, argument, this::save);
        break;
      case "/load":
        withFile(name, argument, this::load);
        break;
      default:
        fail(new IOException("unknown command " + name + "; /help lists them, // begins a message with a slash"));
    }
    return true;
  }

  private void trim(String argument) {
    try {
      int megabytes = Integer.parseInt(argument);
      engine.trim(megabytes);
      say("the cache takes at most " + megabytes + " MB from now on; /stats shows it");
    } catch (NumberFormatException e) {
      fail(new IOException("/trim needs a number of megabytes"));
    } catch (LlmException e) {
      fail(e.code() == ErrorCode.NOT_AVAILABLE
          ? new IOException("the cache has no pages to give back; start with --max-memory-mb") : e);
    }
  }

  private interface FileAction {
    void apply(Path file) throws IOException;
  }

  private void withFile(String name, String argument, FileAction action) {
    if (argument.isEmpty()) {
      fail(new IOException(name + " needs a file name"));
      return;
    }
    try {
      action.apply(argument.startsWith("~/") ? env.home().resolve(argument.substring(2)) : Path.of(argument));
    } catch (IOException | InvalidPathException | LlmException e) {
      fail(e);
    }
  }

  private void save(Path file) throws IOException {
    Path state = Transcript.stateFile(file);
    Transcript.write(file, messages);
    engine.saveState(state);
    say("saved " + messages.size() + " messages to " + file);
  }

  private void load(Path file) throws IOException {
    List<ChatMessage> loaded = Transcript.read(file);
    messages.clear();
    messages.addAll(loaded);
    Path state = Transcript.stateFile(file);
    String remark = "";
    if (Files.exists(state)) {
      try {
        engine.loadState(state);
      } catch (LlmException e) {
        remark = "; its cache does not fit (" + e.getMessage() + "), so the model reads it again";
      }
    } else {
      remark = "; it has no cache file, so the model reads it again";
    }
    say("loaded " + loaded.size() + " messages from " + file + remark);
  }

  private void say(String text) {
    env.err().println(env.errStyle().faint(text));
  }

  private void fail(Throwable failure) {
    if (firstFailure == null) {
      firstFailure = failure;
    }
    errors.accept(failure);
  }
}
