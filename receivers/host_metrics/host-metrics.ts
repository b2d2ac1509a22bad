// SPDX-License-Identifier: Apache-2.0
import { type Observable, Subject, type Subscription } from "rxjs";
import type { Receiver, ReceiverSettings } from "../../src/component/component.ts";
import { messageOf } from "../../src/component/errors.ts";
import type { Counter } from "../../src/component/telemetry.ts";
import type { Batch } from "../../src/model/batch.ts";
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { REQUESTS } from "../../src/pdata/requests.ts";
import { ThrottledLog } from "../../src/pipeline/throttled-log.ts";
import { metricsOf, SCRAPERS, type ScraperName } from "./catalogue.ts";
import type { HostMetricsConfig } from "./config.ts";
import { HostFiles } from "./host-files.ts";
import { type Attributes, keyValues, Recorder } from "./recorder.ts";
import { createCpuScraper } from "./scrapers/cpu.ts";
import { scrapeDisk } from "./scrapers/disk.ts";
import { scrapeFilesystem } from "./scrapers/filesystem.ts";
import { scrapeLoad } from "./scrapers/load.ts";
import { scrapeMemory } from "./scrapers/memory.ts";
import { scrapeNetwork } from "./scrapers/network.ts";
import { scrapePaging } from "./scrapers/paging.ts";
import { createProcessScraper } from "./scrapers/process.ts";
import { scrapeProcesses } from "./scrapers/processes.ts";
import type { Scraper } from "./scrapers/scraper.ts";
import { scrapeSystem } from "./scrapers/system.ts";

const NS_PER_MS = 1_000_000n;
const NS_PER_S = 1_000_000_000n;

/** One resource with what was read of it. */
interface Part {
  readonly attributes: Attributes;
  readonly startNs: bigint;
  readonly record: Recorder;
}

/** Reads the host's own figures at an interval. */
export class HostMetricsReceiver implements Receiver {
  readonly #settings: ReceiverSettings;
  readonly #config: HostMetricsConfig;
  readonly #output = new Subject<Batch>();
  readonly #host: HostFiles;
  readonly #scrapers: ReadonlyMap<ScraperName, Scraper>;
  readonly #log: ThrottledLog;
  readonly #counts = new Map<string, Counter>();
  readonly #demand: Subscription;
  #isWanted = true;
  #timer: NodeJS.Timeout | undefined;
  #scrape: Promise<void> | undefined;

  constructor(settings: ReceiverSettings, config: HostMetricsConfig) {
    this.#settings = settings;
    this.#config = config;
    this.#host = new HostFiles(config.root_path);
    this.#scrapers = createScrapers(config);
    this.#log = new ThrottledLog(settings.telemetry.logger);
    this.#demand = settings.demand.subscribe((isWanted) => {
      this.#isWanted = isWanted;
    });
  }

  output(): Observable<Batch> {
    return this.#output;
  }

  async start(): Promise<void> {
    const { initial_delay, collection_interval } = this.#config;
    this.#timer = setTimeout(() => {
      this.#onTime();
      this.#timer = setInterval(() => this.#onTime(), collection_interval);
    }, initial_delay);
  }

  async shutdown(): Promise<void> {
    // The same number space: it is one or the other.
    clearTimeout(this.#timer);
    await this.#scrape;
    this.#demand.unsubscribe();
    this.#output.complete();
  }

  /** A scrape that takes longer than the interval is not overtaken. */
  #onTime(): void {
    if (!this.#isWanted || this.#scrape !== undefined) return;
    this.#scrape = this.#scrapeAll().finally(() => {
      this.#scrape = undefined;
    });
  }

  async #scrapeAll(): Promise<void> {
    const nowMs = Date.now();
    const resources: object[] = [];
    let items = 0;
    for (const [name, scraper] of this.#scrapers) {
      const parts = await this.#scrapeOne(name, scraper, nowMs);
      const counted = parts.filter(({ record }) => record.count > 0);
      for (const { record } of counted) items += record.count;
      resources.push(...counted.map((part) => this.#resourceMetrics(name, part, nowMs)));
    }
    if (items === 0) return;
    const encoded = fromOtlpJson(
      REQUESTS.metrics.request,
      JSON.stringify({ resourceMetrics: resources }),
    );
    if (!encoded.ok) throw new Error(encoded.message);
    const { bytes } = encoded;
    this.#output.next({ signal: "metrics", chunks: [bytes], items, bytes: bytes.length });
  }

  async #scrapeOne(name: ScraperName, scraper: Scraper, nowMs: number): Promise<readonly Part[]> {
    const switches = this.#config.scrapers[name]?.metrics ?? {};
    const wanted = metricsOf(name).filter((metric) => switches[metric.name] === true);
    const startNs = BigInt(this.#host.bootSeconds()) * NS_PER_S;
    const record = new Recorder(wanted);
    const parts: Part[] = [{ attributes: {}, startNs, record }];
    try {
      await scraper({
        host: this.#host,
        config: this.#config,
        nowMs,
        record,
        resource: (attributes, since) => {
          const own = new Recorder(wanted);
          parts.push({ attributes, startNs: since, record: own });
          return own;
        },
        failed: (what, error) => {
          this.#log.write("error", `Error reading ${what}`, { error: messageOf(error) });
        },
      });
    } catch (error) {
      this.#count("errored", name).add(wanted.length);
      this.#log.write("error", "Error scraping metrics", {
        scraper: name,
        error: messageOf(error),
      });
    }
    const scraped = parts.reduce((sum, part) => sum + part.record.count, 0);
    this.#count("scraped", name).add(scraped);
    return parts;
  }

  #resourceMetrics(
    name: ScraperName,
    { attributes, startNs, record }: Part,
    nowMs: number,
  ): object {
    const metrics = record.toMetrics(startNs, BigInt(nowMs) * NS_PER_MS);
    const scope = {
      name: `backstitch/receivers/host_metrics/${name}`,
      version: this.#settings.buildInfo.version,
    };
    return { resource: { attributes: keyValues(attributes) }, scopeMetrics: [{ scope, metrics }] };
  }

  #count(what: "scraped" | "errored", scraper: ScraperName): Counter {
    const key = `${what} ${scraper}`;
    const known = this.#counts.get(key);
    if (known !== undefined) return known;
    const description =
      what === "scraped"
        ? "Number of metric points successfully scraped."
        : "Number of metric points that were unable to be scraped.";
    const made = this.#settings.telemetry.counter(
      `otelcol_scraper_${what}_metric_points`,
      { description, unit: "{datapoint}" },
      { receiver: this.#settings.id, scraper },
    );
    this.#counts.set(key, made);
    return made;
  }
}

function createScrapers({ scrapers }: HostMetricsConfig): ReadonlyMap<ScraperName, Scraper> {
  const all: Readonly<Record<ScraperName, () => Scraper>> = {
    cpu: createCpuScraper,
    disk: () => scrapeDisk,
    filesystem: () => scrapeFilesystem,
    load: () => scrapeLoad,
    memory: () => scrapeMemory,
    network: () => scrapeNetwork,
    paging: () => scrapePaging,
    process: createProcessScraper,
    processes: () => scrapeProcesses,
    system: () => scrapeSystem,
  };
  const named = SCRAPERS.filter((name) => scrapers[name] !== undefined);
  return new Map(named.map((name) => [name, all[name]()]));
}
