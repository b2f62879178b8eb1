/** The interactive conversation: input, slash commands, transcripts. */
@NullMarked
package io.github.llmmobile.cli.chat;

import org.jspecify.annotations.NullMarked;
