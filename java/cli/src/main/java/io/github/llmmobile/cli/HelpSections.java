package io.github.llmmobile.cli;

import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import picocli.CommandLine;
import picocli.CommandLine.Help;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.UsageMessageSpec;

/** Help texts: a short synopsis, options under headings by what they are about, and the exit codes. */
final class HelpSections {
  /** Headings of the options that several commands share; a command's own ones come first, under "Options". */
  private static final Map<Class<?>, String> SHARED = Map.of(
      WorkerArguments.class, "Worker",
      SamplingArguments.class, "Choosing tokens",
      ModelArguments.class, "Model",
      RemoteArguments.class, "Larger model",
      RoutingArguments.class, "Larger model",
      ConfigArguments.class, "Configuration",
      CommonArguments.class, "General");

  private HelpSections() {}

  /** Sets up the help of a command and of its subcommands. */
  static void apply(CommandLine line) {
    CommandSpec spec = line.getCommandSpec();
    boolean arguments = !spec.positionalParameters().isEmpty();
    spec.usageMessage().sortOptions(false).descriptionHeading("%n")
        .parameterListHeading(arguments ? "%nArguments:%n" : "").commandListHeading("%nCommands:%n")
        .exitCodeListHeading("%nExit codes:%n").exitCodeList(ExitCode.helpList());
    line.getHelpSectionMap().put(UsageMessageSpec.SECTION_KEY_SYNOPSIS, HelpSections::synopsis);
    line.getHelpSectionMap().put(UsageMessageSpec.SECTION_KEY_OPTION_LIST, HelpSections::options);
    line.getSubcommands().values().forEach(HelpSections::apply);
  }

  /** What must be given, and that there is more. */
  private static String synopsis(Help help) {
    CommandSpec spec = help.commandSpec();
    StringBuilder text = new StringBuilder(spec.qualifiedName());
    if (!spec.subcommands().isEmpty()) {
      text.append(" COMMAND");
    }
    text.append(" [OPTIONS]");
    for (OptionSpec option : spec.options()) {
      if (option.required()) {
        text.append(' ').append(option.longestName()).append(' ').append(option.paramLabel());
      }
    }
    spec.positionalParameters().forEach(parameter -> text.append(' ')
        .append(parameter.required() ? parameter.paramLabel() : "[" + parameter.paramLabel() + "]"));
    return text.append('\n').toString();
  }

  private static String options(Help help) {
    Map<String, List<OptionSpec>> sections = new LinkedHashMap<>();
    for (OptionSpec option : help.commandSpec().options()) {
      if (!option.hidden()) {
        sections.computeIfAbsent(heading(option), key -> new ArrayList<>()).add(option);
      }
    }
    StringBuilder text = new StringBuilder();
    sections.forEach((heading, options) -> {
      Help.Layout layout = help.createDefaultLayout();
      layout.addOptions(options, help.createDefaultParamLabelRenderer());
      text.append('\n').append(help.colorScheme().ansi().string("@|bold " + heading + ":|@")).append('\n')
          .append(layout);
    });
    return text.toString();
  }

  private static String heading(OptionSpec option) {
    Object member = option.userObject();
    Class<?> owner = member instanceof Field field ? field.getDeclaringClass() : Object.class;
    return SHARED.getOrDefault(owner, "Options");
  }
}
