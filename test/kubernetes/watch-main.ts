// SPDX-License-Identifier: Apache-2.0
/** Starts `k8s_attributes` with the kubeconfig of KUBECONFIG and says what the first lists cost. */
import { configSchema } from "../../processors/k8s_attributes/config.ts";
import { createK8sAttributesProcessor } from "../../processors/k8s_attributes/k8s-attributes.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";

const memory = createMemoryTelemetry();
const processor = createK8sAttributesProcessor(
  {
    id: "k8s_attributes",
    telemetry: memory.telemetry,
    buildInfo: { version: "0" },
    signal: "traces",
    pipelineId: "traces",
  },
  configSchema.parse({
    auth_type: "kubeConfig",
    wait_for_metadata: true,
    wait_for_metadata_timeout: "60s",
    peer: { enabled: true },
    extract: { labels: [{ key: "app" }] },
  }),
);
const startedMs = performance.now();
const rssBeforeBytes = process.memoryUsage.rss();
const cpuBefore = process.cpuUsage();
await processor.start({ extension: () => undefined, fatal: () => undefined });
const elapsedMs = performance.now() - startedMs;
const { user, system } = process.cpuUsage(cpuBefore);
const objects = await memory.value('backstitch_k8s_informer_objects{namespace="",resource="pods"}');
const rssBytes = process.memoryUsage.rss();
process.stdout.write(
  JSON.stringify({ elapsedMs, cpuMs: (user + system) / 1000, objects, rssBeforeBytes, rssBytes }),
);
await processor.shutdown(AbortSignal.timeout(1_000));
