/** What hidden states tell of the text, measured by attacks on them. */
@NullMarked
package io.github.llmmobile.cli.privacy;

import org.jspecify.annotations.NullMarked;
