// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import type { TestAgent } from "./agent.ts";
import { total } from "./own-metrics.ts";

type Metrics = ReadonlyMap<string, number>;
const L7 = "backstitch_ebpf_l7_";

/** The metrics when two readings, a drain apart, are alike: nothing is under way. */
export async function metricsAtRest(
  agent: TestAgent,
  timeoutMs: number = 15_000,
): Promise<Metrics> {
  const deadlineMs = Date.now() + timeoutMs;
  let before = await agent.metrics();
  for (;;) {
    await delay(600);
    const metrics = await agent.metrics();
    const [moving] = [...metrics].filter(
      ([name, value]) => isCount(name) && before.get(name) !== value,
    );
    if (moving === undefined) return metrics;
    if (Date.now() > deadlineMs) throw new Error(`the counts never rest: ${moving.join(" ")}`);
    before = metrics;
  }
}

function isCount(name: string): boolean {
  return (
    /^(backstitch_(ebpf_l7|span_stitch)|otelcol_(receiver|processor|exporter))_/.test(name) &&
    !name.includes("_age_")
  );
}

/** Every term of the loss account at one moment at rest; see receivers/ebpf_l7/README.md. */
export function assertAccount(metrics: Metrics): void {
  const l7 = (name: string): number => total(metrics, `${L7}${name}`);
  assert.equal(
    l7("records_seen"),
    l7("records_captured") + l7("records_dropped"),
    "calls seen = captured + dropped",
  );
  assert.equal(
    l7("records_captured") + l7("records_added"),
    l7("records_read"),
    "captured and added = read",
  );
  assert.equal(
    l7("exchanges_started"),
    l7("exchanges_completed") + l7("exchanges_abandoned") + l7("exchanges_open"),
    "exchanges started = completed + abandoned + open",
  );
  assert.equal(l7("record_failures"), 0, "no record made a parser fail");
  assert.equal(
    l7("connections_opened"),
    l7("connections_closed") + l7("connections_evicted") + l7("connections"),
    "connections opened = closed + forgotten + followed",
  );
  assertSpans(metrics);
}

function assertSpans(metrics: Metrics): void {
  const accepted = total(metrics, "otelcol_receiver_accepted_spans", 'receiver="ebpf_l7"');
  assert.equal(accepted, total(metrics, `${L7}exchanges_completed`), "completed = accepted");
  const stitch = 'processor="span_stitch"';
  const held = total(metrics, "backstitch_span_stitch_held_spans", stitch);
  const incoming = total(metrics, "otelcol_processor_incoming_items", stitch);
  const outgoing = total(metrics, "otelcol_processor_outgoing_items", stitch);
  assert.equal(incoming, outgoing + held, "span_stitch: in = out + held");
  const exporters = new Set(
    [...metrics.keys()].flatMap(
      (key) => /^otelcol_exporter_sent_spans.*exporter="([^"]+)"/.exec(key)?.[1] ?? [],
    ),
  );
  for (const exporter of exporters) assertExporter(metrics, exporter);
}

/** Sent, failed, refused and queued are all that the pipeline gave; in spans, so the queue is empty. */
function assertExporter(metrics: Metrics, exporter: string): void {
  const label = `exporter="${exporter}"`;
  const of = (name: string): number => total(metrics, `otelcol_exporter_${name}`, label);
  if (of("queue_size") > 0) return;
  const given = total(metrics, "otelcol_processor_outgoing_items", 'processor="batch"');
  assert.equal(
    given,
    of("sent_spans") + of("send_failed_spans") + of("enqueue_failed_spans"),
    `${exporter}: given = sent + failed + refused`,
  );
}
