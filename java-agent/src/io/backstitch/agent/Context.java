// SPDX-License-Identifier: Apache-2.0
package io.backstitch.agent;

/** What a task takes along from the thread that hands it over. */
final class Context {
  final long parent;
  /** When, ns of the monotonic clock. */
  final long since;

  Context(long parent, long since) {
    this.parent = parent;
    this.since = since;
  }
}
