// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DemoChain, startChain } from "../../demo/chain.ts";
import { startTraffic } from "../../demo/traffic.ts";
import { freePorts } from "../support/proc-net.ts";
import { startProcess } from "../support/process.ts";

/** Programs are loaded and attached before; on a busy machine that takes a while. */
const READY_MS = 90_000;
const ROOT = join(import.meta.dirname, "../..");

/** The services of `npm start`, their traffic, and an agent that watches, stores and shows them. */
export interface LiveDemo {
  readonly chain: DemoChain;
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts all of it; `stop` ends it and removes its files. */
export async function startLiveDemo(): Promise<LiveDemo> {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-page-"));
  const [port = 0, grpc = 0, http = 0, metrics = 0] = await freePorts(4);
  const chain = await startChain(() => undefined);
  const directory = join(folder, "store");
  const settings = [
    `extensions::ui::endpoint=127.0.0.1:${port}`,
    `extensions::ui::directory=${directory}`,
    `exporters::store::directory=${directory}`,
    "service::extensions=[discovery, ui]",
    "service::pipelines::traces::exporters=[store]",
    `receivers::otlp::protocols::grpc::endpoint=127.0.0.1:${grpc}`,
    `receivers::otlp::protocols::http::endpoint=127.0.0.1:${http}`,
    `service::telemetry::metrics::readers=[{pull: {exporter: {prometheus: {host: 127.0.0.1, port: ${metrics}}}}}]`,
  ];
  const agent = await startProcess({
    command: join(ROOT, "bin/backstitch"),
    args: [
      ...["--config", join(ROOT, "config.example.yaml")],
      ...settings.flatMap((setting) => ["--set", setting]),
    ],
    env: { BACKSTITCH_PORTS: chain.ports },
    readyOutput: /Everything is ready/,
    readyTimeoutMs: READY_MS,
  });
  const traffic = startTraffic(chain.services[0]?.port ?? 0);
  const stop = async (): Promise<void> => {
    traffic.stop();
    await agent.stop();
    await chain.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  return { chain, url: `http://127.0.0.1:${port}/`, stop };
}
