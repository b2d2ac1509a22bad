// SPDX-License-Identifier: Apache-2.0
// The agent's short words as sentences for people.
import { shown } from "./format.ts";

const REASONS: Readonly<Record<string, string>> = {
  not_selected: "No target selects it",
  not_permitted: "The agent may not look at it",
  agent: "The agent itself; it never watches itself",
  tls: "TLS: the bytes are encrypted before the socket",
  encrypted: "TLS: the bytes are encrypted before the socket",
  unknown_protocol: "A protocol that is not known",
  unclassified: "A protocol that is not known",
  disabled: "Its protocol is disabled in the configuration",
};

export function reasonText(reason: string): string {
  return Object.hasOwn(REASONS, reason) ? (REASONS[reason] ?? reason) : shown(reason, 200);
}

/** How a parent was found, by `stitch.evidence`; docs/stitching.md says more. */
const EVIDENCE: Readonly<Record<string, string>> = {
  byte_name: "Both ends name the same byte of the same connection. Exact.",
  trace_header: "The request's trace header says so. Exact.",
  same_thread: "The thread that wrote the call had read exactly this request.",
  event_loop: "Written in the event loop's turn that read this request.",
  goroutine: "The goroutine works for this request, or was started by one that does.",
  java_task: "The Java task works for this request, or was handed over by one that does.",
  python_context: "Python's context works for this request, or was copied from one that does.",
  inference: "Weighed from times alone: no other evidence was there.",
  unknown: "Some request of the process caused it; which one is not known.",
};

export function evidenceText(evidence: string): string {
  return Object.hasOwn(EVIDENCE, evidence) ? (EVIDENCE[evidence] ?? "") : "";
}

const WARNINGS: Readonly<Record<string, string>> = {
  duplicate_id: "Another span has the same id",
  self_parent: "Names itself as its parent",
  cycle: "Its parents lead back to itself; the link was cut here",
  missing_parent: "Its parent is not in the store",
  clock: "A day or more from most other spans: a clock is off",
  negative_duration: "Ends before it starts",
  cut: "Parts were left out here; the OTLP JSON has them",
};

export function warningText(warning: string): string {
  return Object.hasOwn(WARNINGS, warning) ? (WARNINGS[warning] ?? "") : shown(warning, 100);
}
