// SPDX-License-Identifier: Apache-2.0
/** Components with every kind of field, so that the corpus depends on no real component. */
import { BehaviorSubject, NEVER } from "rxjs";
import { z } from "zod";
import {
  defineConnector,
  defineExporter,
  defineExtension,
  defineProcessor,
  defineReceiver,
  type Factory,
} from "../../src/component/component.ts";
import {
  byteSize,
  clientEndpoint,
  duration,
  endpoint,
  endpointOf,
  headers,
  opaque,
  tlsClientSchema,
} from "../../src/config/types.ts";
import { SIGNALS } from "../../src/model/batch.ts";
import {
  retrySchema,
  sendingQueueSchema,
  timeoutSchema,
} from "../../src/pipeline/export-helper.ts";

const idle = { start: async () => {}, shutdown: async () => {} };

const source = defineReceiver({
  kind: "receiver",
  type: "source",
  stability: "beta",
  signals: ["traces", "metrics"],
  configSchema: z.strictObject({
    endpoint: endpoint().default(endpointOf("localhost", 4317)),
    ports: z.array(z.int().min(1).max(65_535)).default([]),
    ring_size: byteSize().default(4 * 1024 ** 2),
    poll_interval: duration({ positive: true }).default(200),
    mode: z.enum(["quick", "thorough"]).default("quick"),
    ratio: z.number().min(0).max(1).default(1),
    label: z.string().default(""),
    on: z.boolean().default(true),
    any: z.unknown().optional(),
  }),
  create: () => ({ ...idle, output: () => NEVER }),
});

const pass = defineProcessor({
  kind: "processor",
  type: "pass",
  stability: "beta",
  signals: SIGNALS,
  configSchema: z
    .strictObject({
      send_batch_size: z.int().min(0).default(8192),
      send_batch_max_size: z.int().min(0).default(0),
      timeout: duration().default(200),
      keys: z.array(z.string()).default(["a"]),
      limits: z.strictObject({ items: z.int().default(5) }).prefault({}),
    })
    .refine((c) => c.send_batch_max_size === 0 || c.send_batch_max_size >= c.send_batch_size, {
      error: "send_batch_max_size must be greater or equal to send_batch_size",
    }),
  create: () => ({ ...idle, process: (input) => input }),
});

const sink = defineExporter({
  kind: "exporter",
  type: "sink_grpc",
  aliases: ["sink"],
  stability: "beta",
  signals: SIGNALS,
  configSchema: z.strictObject({
    endpoint: clientEndpoint(),
    headers: headers(),
    token: opaque().optional(),
    tls: tlsClientSchema.prefault({}),
    timeout: timeoutSchema(),
    sending_queue: sendingQueueSchema().prefault({}),
    retry_on_failure: retrySchema().prefault({}),
  }),
  create: () => ({ ...idle, accept: () => true, ready: new BehaviorSubject(true) }),
});

const nothing = defineExporter({
  kind: "exporter",
  type: "nothing",
  stability: "beta",
  signals: SIGNALS,
  configSchema: z.strictObject({}),
  create: () => ({ ...idle, accept: () => true, ready: new BehaviorSubject(true) }),
});

const link = defineConnector({
  kind: "connector",
  type: "link",
  stability: "beta",
  pairs: [{ from: "traces", to: "traces" }],
  configSchema: z.strictObject({}),
  create: () => ({ ...idle, connect: (input) => input }),
});

/** Has the name of an exporter, so that ids can be ambiguous. */
const twin = defineConnector({
  kind: "connector",
  type: "nothing",
  stability: "beta",
  pairs: [{ from: "traces", to: "traces" }],
  configSchema: z.strictObject({}),
  create: () => ({ ...idle, connect: (input) => input }),
});

const helper = defineExtension({
  kind: "extension",
  type: "helper",
  stability: "beta",
  configSchema: z.strictObject({ targets: z.array(z.string()).default([]) }),
  create: () => idle,
});

export const FIXTURES: readonly Factory[] = [source, pass, sink, nothing, link, twin, helper];
