// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { byteSize, duration, opaque, type Secret } from "../../src/config/types.ts";
import { type Relabel, relabelSchema } from "./relabel.ts";

export interface StaticTargets {
  readonly targets: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

export interface ScrapeConfig {
  readonly job_name: string;
  readonly scrape_interval?: number | undefined;
  readonly scrape_timeout?: number | undefined;
  readonly metrics_path: string;
  readonly scheme: "http" | "https";
  readonly params: Readonly<Record<string, readonly string[]>>;
  readonly honor_labels: boolean;
  readonly honor_timestamps: boolean;
  readonly follow_redirects: boolean;
  readonly basic_auth?:
    | {
        readonly username: string;
        readonly password?: Secret | undefined;
        readonly password_file: string;
      }
    | undefined;
  readonly authorization?:
    | {
        readonly type: string;
        readonly credentials?: Secret | undefined;
        readonly credentials_file: string;
      }
    | undefined;
  readonly bearer_token?: Secret | undefined;
  readonly bearer_token_file: string;
  readonly tls_config?:
    | {
        readonly ca_file: string;
        readonly cert_file: string;
        readonly key_file: string;
        readonly server_name: string;
        readonly insecure_skip_verify: boolean;
      }
    | undefined;
  readonly static_configs: readonly StaticTargets[];
  readonly file_sd_configs: readonly {
    readonly files: readonly string[];
    readonly refresh_interval: number;
  }[];
  readonly relabel_configs: Relabel;
  readonly metric_relabel_configs: Relabel;
  readonly body_size_limit: number;
  readonly sample_limit: number;
  readonly label_limit: number;
  readonly label_name_length_limit: number;
  readonly label_value_length_limit: number;
  readonly target_limit: number;
}

export interface PrometheusReceiverConfig {
  readonly config: {
    readonly global: {
      readonly scrape_interval: number;
      readonly scrape_timeout: number;
      readonly external_labels: Readonly<Record<string, string>>;
    };
    readonly scrape_configs: readonly ScrapeConfig[];
  };
  readonly trim_metric_suffixes: boolean;
  readonly report_extra_scrape_metrics: boolean;
}

const limit = (what: string) => z.int().min(0).default(0).describe(`${what}; 0 is no limit.`);
const file = (what: string) => z.string().default("").describe(what);

const tls = z.strictObject({
  ca_file: file("Certificates to trust, PEM."),
  cert_file: file("Our certificate, PEM."),
  key_file: file("Our private key, PEM."),
  server_name: z.string().default("").describe("Name to verify instead of the host."),
  insecure_skip_verify: z.boolean().default(false).describe("Trust any certificate."),
});

const staticConfig: z.ZodType<StaticTargets> = z.strictObject({
  targets: z.array(z.string().min(1)).describe("host:port, each scraped by itself."),
  labels: z.record(z.string(), z.string()).default({}).describe("Labels of these targets."),
});

const fileDiscovery = z.strictObject({
  files: z
    .array(
      z.string().regex(/\.(json|ya?ml)$/, {
        error: "path name is not valid for file discovery: it must end with .json, .yml or .yaml",
      }),
    )
    .describe("Files with lists of targets; the last part of a path may have a *."),
  refresh_interval: duration().default(300_000).describe("How often they are read again."),
});

const scrapeConfig: z.ZodType<ScrapeConfig> = z
  .strictObject({
    job_name: z.string().min(1, { error: "job_name is empty" }).describe("Becomes service.name."),
    scrape_interval: duration().optional().describe("Time between scrapes. Default: global."),
    scrape_timeout: duration().optional().describe("Bound of one scrape. Default: global."),
    metrics_path: z.string().default("/metrics").describe("Path of the page."),
    scheme: z.enum(["http", "https"]).default("http").describe("Protocol."),
    params: z.record(z.string(), z.array(z.string())).default({}).describe("Query parameters."),
    honor_labels: z
      .boolean()
      .default(false)
      .describe("Labels of the page win over those of the target."),
    honor_timestamps: z.boolean().default(true).describe("Use times that the page gives."),
    follow_redirects: z.boolean().default(true).describe("Follow up to ten redirects."),
    basic_auth: z
      .strictObject({
        username: z.string().default("").describe("User."),
        password: opaque().optional().describe("Password."),
        password_file: file("File that holds it."),
      })
      .optional()
      .describe("Basic authentication."),
    authorization: z
      .strictObject({
        type: z.string().default("Bearer").describe("Scheme."),
        credentials: opaque().optional().describe("What follows it."),
        credentials_file: file("File that holds it."),
      })
      .optional()
      .describe("The header Authorization."),
    bearer_token: opaque().optional().describe("The same as authorization."),
    bearer_token_file: file("The same as authorization, from a file."),
    tls_config: tls.optional().describe("For https."),
    static_configs: z.array(staticConfig).default([]).describe("Targets."),
    file_sd_configs: z.array(fileDiscovery).default([]).describe("Targets from files."),
    relabel_configs: relabelSchema.describe("Changes or drops targets before a scrape."),
    metric_relabel_configs: relabelSchema.describe("Changes or drops series after a scrape."),
    body_size_limit: byteSize().default(0).describe("Larger pages fail; 0 is no limit."),
    sample_limit: limit("Pages with more samples fail"),
    label_limit: limit("Pages with a series of more labels fail"),
    label_name_length_limit: limit("Pages with longer names of labels fail"),
    label_value_length_limit: limit("Pages with longer values of labels fail"),
    target_limit: limit("A job with more targets is not scraped"),
  })
  .superRefine((one, context) => {
    const { scrape_interval: intervalMs, scrape_timeout: timeoutMs } = one;
    if (intervalMs !== undefined && timeoutMs !== undefined && timeoutMs > intervalMs) {
      const message = `scrape timeout greater than scrape interval for scrape config with job name "${one.job_name}"`;
      context.addIssue({ code: "custom", path: ["scrape_timeout"], message });
    }
  });

export const configSchema: z.ZodType<PrometheusReceiverConfig> = z.strictObject({
  config: z
    .strictObject({
      global: z
        .strictObject({
          scrape_interval: duration().default(60_000).describe("Time between scrapes."),
          scrape_timeout: duration().default(10_000).describe("Bound of one scrape."),
          external_labels: z
            .record(z.string(), z.string())
            .default({})
            .describe("Labels that all series get."),
        })
        .prefault({})
        .describe("Defaults of all jobs."),
      scrape_configs: z
        .array(scrapeConfig)
        .min(1, { error: "no Prometheus scrape_configs: write at least one job" })
        .superRefine((jobs, context) => {
          for (const [at, { job_name }] of jobs.entries()) {
            if (jobs.findIndex((other) => other.job_name === job_name) === at) continue;
            const message = `found multiple scrape configs with job name "${job_name}"`;
            context.addIssue({ code: "custom", path: [at, "job_name"], message });
          }
        })
        .describe("Jobs."),
    })
    .describe("As in Prometheus' own file; a $ is written $$."),
  trim_metric_suffixes: z.boolean().default(false).describe("Take unit and _total off the names."),
  report_extra_scrape_metrics: z
    .boolean()
    .default(false)
    .describe("Give scrape_timeout_seconds, scrape_sample_limit and scrape_body_size_bytes, too."),
});
