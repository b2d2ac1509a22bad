// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { type Observable, Subject, type Subscription } from "rxjs";
import type { Receiver, ReceiverSettings } from "../../src/component/component.ts";
import { messageOf } from "../../src/component/errors.ts";
import type { Batch } from "../../src/model/batch.ts";
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { REQUESTS } from "../../src/pdata/requests.ts";
import { ThrottledLog } from "../../src/pipeline/throttled-log.ts";
import { type ParsedFamily, parseText } from "../../src/prometheus/parse-text.ts";
import { userAgent } from "../../src/transport/export-log.ts";
import type { PrometheusReceiverConfig, ScrapeConfig } from "./config.ts";
import { type Converted, Converter } from "./converter.ts";
import { type Page, PageReader } from "./page.ts";
import { type Target, TargetFiles, targetsOf } from "./targets.ts";

interface Job {
  readonly config: ScrapeConfig;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly files: TargetFiles;
  readonly pages: PageReader;
  readonly scraped: Map<string, Scraped>;
  refresh: NodeJS.Timeout | undefined;
}

interface Scraped {
  readonly target: Target;
  readonly converter: Converter;
  timer: NodeJS.Timeout | undefined;
  running: Promise<void> | undefined;
}

/** Scrapes pages of metrics as Prometheus does, by the scrape configuration of Prometheus. */
export class PrometheusReceiver implements Receiver {
  readonly #settings: ReceiverSettings;
  readonly #config: PrometheusReceiverConfig;
  readonly #output = new Subject<Batch>();
  readonly #jobs: readonly Job[];
  readonly #log: ThrottledLog;
  readonly #stop = new AbortController();
  readonly #demand: Subscription;
  #isWanted = true;

  constructor(settings: ReceiverSettings, config: PrometheusReceiverConfig) {
    this.#settings = settings;
    this.#config = config;
    this.#log = new ThrottledLog(settings.telemetry.logger);
    this.#jobs = config.config.scrape_configs.map((job) => this.#createJob(job));
    this.#demand = settings.demand.subscribe((isWanted) => {
      this.#isWanted = isWanted;
    });
  }

  output(): Observable<Batch> {
    return this.#output;
  }

  async start(): Promise<void> {
    for (const job of this.#jobs) {
      await job.pages.start();
      this.#discover(job);
      const refreshMs = Math.min(...job.config.file_sd_configs.map((one) => one.refresh_interval));
      if (Number.isFinite(refreshMs)) {
        job.refresh = setInterval(() => this.#discover(job), refreshMs);
      }
    }
  }

  async shutdown(): Promise<void> {
    this.#stop.abort();
    for (const job of this.#jobs) {
      clearInterval(job.refresh);
      for (const scraped of job.scraped.values()) clearTimeout(scraped.timer);
    }
    const running = this.#jobs.flatMap((job) =>
      [...job.scraped.values()].map((one) => one.running),
    );
    await Promise.all(running);
    for (const job of this.#jobs) job.pages.close();
    this.#demand.unsubscribe();
    this.#output.complete();
  }

  #createJob(config: ScrapeConfig): Job {
    const { global } = this.#config.config;
    const intervalMs = config.scrape_interval ?? global.scrape_interval;
    const timeoutMs = Math.min(config.scrape_timeout ?? global.scrape_timeout, intervalMs);
    const agent = userAgent(this.#settings.buildInfo.version);
    return {
      ...{ config, intervalMs, timeoutMs, scraped: new Map(), refresh: undefined },
      files: new TargetFiles(config, (message) => {
        this.#log.write("warn", "Reading targets failed", { job: config.job_name, error: message });
      }),
      pages: new PageReader(config, { timeoutMs, userAgent: agent }),
    };
  }

  /** Starts to scrape targets that are new; those that went have their series ended. */
  #discover(job: Job): void {
    const { config } = job;
    const targets = targetsOf(config, [...config.static_configs, ...job.files.read()]);
    const isTooMany = config.target_limit > 0 && targets.length > config.target_limit;
    if (isTooMany) {
      this.#log.write("error", "target_limit exceeded: the job is not scraped", {
        ...{ job: config.job_name, targets: targets.length, limit: config.target_limit },
      });
    }
    const wanted = new Map(
      (isTooMany ? [] : targets).map((one) => [JSON.stringify([one.url.href, ...one.labels]), one]),
    );
    for (const [key, scraped] of job.scraped) {
      if (wanted.has(key)) continue;
      clearTimeout(scraped.timer);
      job.scraped.delete(key);
      this.#emit([scraped.converter.convert([], Date.now())]);
    }
    for (const [key, target] of wanted) {
      if (job.scraped.has(key)) continue;
      const scraped = this.#scraped(job, target);
      job.scraped.set(key, scraped);
      this.#plan(job, scraped, offsetMs(key, job.intervalMs));
    }
  }

  #scraped({ config }: Job, target: Target): Scraped {
    const converter = new Converter({
      url: target.url,
      targetLabels: target.labels,
      externalLabels: this.#config.config.global.external_labels,
      honorLabels: config.honor_labels,
      honorTimestamps: config.honor_timestamps,
      trimSuffixes: this.#config.trim_metric_suffixes,
      relabel: config.metric_relabel_configs,
      scope: { name: "backstitch/receivers/prometheus", version: this.#settings.buildInfo.version },
    });
    return { target, converter, timer: undefined, running: undefined };
  }

  #plan(job: Job, scraped: Scraped, inMs: number): void {
    scraped.timer = setTimeout(() => {
      const began = performance.now();
      scraped.running = this.#scrape(job, scraped).finally(() => {
        scraped.running = undefined;
        if (this.#stop.signal.aborted || !this.#isScraped(job, scraped)) return;
        this.#plan(job, scraped, Math.max(0, job.intervalMs - (performance.now() - began)));
      });
    }, inMs);
  }

  #isScraped(job: Job, scraped: Scraped): boolean {
    return [...job.scraped.values()].includes(scraped);
  }

  async #scrape(job: Job, { target, converter }: Scraped): Promise<void> {
    if (!this.#isWanted) return;
    const nowMs = Date.now();
    const began = performance.now();
    let page: Page | undefined;
    let families: readonly ParsedFamily[] = [];
    try {
      page = await job.pages.read(target.url, this.#stop.signal);
      families = parseText(page.text, page.isOpenMetrics);
      checkLimits(job.config, families);
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      families = [];
      page = undefined;
      const fields = {
        target: `${target.url.origin}${target.url.pathname}`,
        error: messageOf(error),
      };
      this.#log.write("warn", "Failed to scrape Prometheus endpoint", fields);
    }
    const converted = converter.convert(families, nowMs);
    const { config } = job;
    const report = {
      up: page === undefined ? 0 : 1,
      scrape_duration_seconds: (performance.now() - began) / 1000,
      scrape_samples_scraped: families.reduce((sum, { samples }) => sum + samples.length, 0),
      scrape_samples_post_metric_relabeling: converted.samples,
      scrape_series_added: converted.added,
    };
    const extra = {
      scrape_timeout_seconds: job.timeoutMs / 1000,
      scrape_sample_limit: config.sample_limit,
      scrape_body_size_bytes: page?.bytes ?? -1,
    };
    const all = this.#config.report_extra_scrape_metrics ? { ...report, ...extra } : report;
    this.#emit([converted, converter.report(all, nowMs)]);
  }

  #emit(converted: readonly Converted[]): void {
    const items = converted.reduce((sum, { points }) => sum + points, 0);
    if (items === 0) return;
    const resourceMetrics = converted.flatMap((one) => one.resourceMetrics);
    const encoded = fromOtlpJson(REQUESTS.metrics.request, JSON.stringify({ resourceMetrics }));
    if (!encoded.ok) throw new Error(encoded.message);
    const { bytes } = encoded;
    this.#output.next({ signal: "metrics", chunks: [bytes], items, bytes: bytes.length });
  }
}

/** Spreads targets over the interval; the same target always at the same place. */
function offsetMs(key: string, intervalMs: number): number {
  return createHash("md5").update(key).digest().readUInt32BE(0) % intervalMs;
}

function checkLimits(config: ScrapeConfig, families: readonly ParsedFamily[]): void {
  const samples = families.flatMap((family) => family.samples);
  const { sample_limit: most, label_limit: labelsMost } = config;
  if (most > 0 && samples.length > most) throw new Error(`sample limit exceeded (${most})`);
  const nameMost = config.label_name_length_limit || Number.POSITIVE_INFINITY;
  const valueMost = config.label_value_length_limit || Number.POSITIVE_INFINITY;
  for (const { name, labels } of samples) {
    if (labelsMost > 0 && labels.size + 1 > labelsMost) {
      throw new Error(
        `label_limit exceeded (metric: ${name}, number of labels: ${labels.size + 1})`,
      );
    }
    for (const [label, value] of labels) {
      if (label.length > nameMost) throw new Error(`label_name_length_limit exceeded (${label})`);
      if (value.length > valueMost) throw new Error(`label_value_length_limit exceeded (${label})`);
    }
  }
}
