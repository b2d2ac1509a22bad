// SPDX-License-Identifier: Apache-2.0

import { writeFile } from "node:fs/promises";
import { Session } from "node:inspector/promises";
import type { Extension, Settings } from "../../src/component/component.ts";
import { messageOf } from "../../src/component/errors.ts";
import { type AdminAnswer, AdminServer, text } from "../../src/transport/admin-server.ts";
import type { PprofConfig } from "./config.ts";
import { encodeProfile } from "./profile-encoder.ts";
import { cpuProfileOf, heapProfileOf } from "./v8-profiles.ts";

const SECONDS_DEFAULT = 30;
const SECONDS_MAX = 600;
const MS_PER_S = 1_000;
/** V8's own default: one object in so many bytes is looked at. */
const HEAP_INTERVAL_BYTES = 512 * 1024;
const INDEX = `profiles of the agent:

/debug/pprof/profile?seconds=30   CPU, for so many seconds
/debug/pprof/heap                 live objects, sampled since the start
/debug/pprof/cmdline              what was started

Add ?format=v8 for Chrome's .cpuprofile and .heapprofile. Look at the others with
go tool pprof http://ADDRESS/debug/pprof/profile
`;

/** CPU and heap profiles of the running agent, over HTTP. */
export class Pprof implements Extension {
  readonly #settings: Settings;
  readonly #config: PprofConfig;
  readonly #server: AdminServer;
  readonly #heap = new Session();
  /** Profiles the CPU for one client, or for the file. */
  #cpu: Session | undefined;
  #startMs = 0;

  constructor(settings: Settings, config: PprofConfig) {
    this.#settings = settings;
    this.#config = config;
    this.#server = new AdminServer({
      endpoint: config.endpoint,
      tls: config.tls,
      answer: (url, closed) => this.#answer(url, closed),
    });
  }

  /** Where it listens, once started. */
  get port(): number {
    return this.#server.port;
  }

  async start(): Promise<void> {
    await this.#server.start();
    this.#startMs = Date.now();
    this.#heap.connect();
    const samplingInterval = HEAP_INTERVAL_BYTES;
    await this.#heap.post("HeapProfiler.startSampling", { samplingInterval });
    if (this.#config.save_to_file !== "") this.#cpu = await startCpu();
    const { logger } = this.#settings.telemetry;
    logger.info("Starting pprof extension", { endpoint: this.#config.endpoint.text });
  }

  async shutdown(): Promise<void> {
    await this.#server.shutdown();
    const { save_to_file: path } = this.#config;
    if (path !== "" && this.#cpu !== undefined) await this.#save(this.#cpu, path);
    this.#cpu?.disconnect();
    this.#cpu = undefined;
    this.#heap.disconnect();
  }

  async #save(session: Session, path: string): Promise<void> {
    try {
      const { profile } = await session.post("Profiler.stop");
      await writeFile(path, encodeProfile(cpuProfileOf(profile, this.#startMs)));
    } catch (error) {
      const fields = { path, error: messageOf(error) };
      this.#settings.telemetry.logger.error("The CPU profile cannot be written", fields);
    }
  }

  async #answer(url: URL, closed: AbortSignal): Promise<AdminAnswer> {
    const isV8 = url.searchParams.get("format") === "v8";
    switch (url.pathname.replace(/\/$/, "")) {
      case "/debug/pprof":
        return text(200, INDEX);
      case "/debug/pprof/cmdline":
        return text(200, process.argv.slice(0, 2).join("\0"));
      case "/debug/pprof/profile":
        return await this.#cpuProfile(url, isV8, closed);
      case "/debug/pprof/heap":
      case "/debug/pprof/allocs":
        return await this.#heapProfile(isV8);
      default:
        return text(404, "404 page not found. Try /debug/pprof/\n");
    }
  }

  async #cpuProfile(url: URL, isV8: boolean, closed: AbortSignal): Promise<AdminAnswer> {
    const seconds = Number(url.searchParams.get("seconds") ?? SECONDS_DEFAULT);
    if (!(seconds > 0 && seconds <= SECONDS_MAX)) {
      return text(400, `seconds must be more than 0 and at most ${SECONDS_MAX}\n`);
    }
    if (this.#cpu !== undefined) return text(409, "a CPU profile is being taken already\n");
    const timeMs = Date.now();
    const session = await startCpu();
    this.#cpu = session;
    try {
      await elapsed(seconds * MS_PER_S, closed);
      const { profile } = await session.post("Profiler.stop");
      return isV8 ? json(profile) : packed(encodeProfile(cpuProfileOf(profile, timeMs)));
    } finally {
      session.disconnect();
      this.#cpu = undefined;
    }
  }

  async #heapProfile(isV8: boolean): Promise<AdminAnswer> {
    const { profile } = await this.#heap.post("HeapProfiler.getSamplingProfile");
    if (isV8) return json(profile);
    const options = { timeMs: Date.now(), intervalBytes: HEAP_INTERVAL_BYTES };
    return packed(encodeProfile(heapProfileOf(profile, options)));
  }
}

async function startCpu(): Promise<Session> {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.start");
  return session;
}

function elapsed(ms: number, closed: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      closed.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    if (closed.aborted) done();
    else closed.addEventListener("abort", done, { once: true });
  });
}

function packed(body: Uint8Array): AdminAnswer {
  return { status: 200, contentType: "application/octet-stream", body };
}

function json(profile: object): AdminAnswer {
  return { status: 200, contentType: "application/json", body: JSON.stringify(profile) };
}
