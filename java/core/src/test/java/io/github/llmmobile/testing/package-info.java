/** What the tests share: tiny models made on the spot, real models from the cache, fresh JVMs. */
package io.github.llmmobile.testing;
