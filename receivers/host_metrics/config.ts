// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { duration } from "../../src/config/types.ts";
import { metricsOf, SCRAPERS, type ScraperName } from "./catalogue.ts";
import { type NameTest, namesSchema } from "./name-filter.ts";

/** By the metric's name; those that are not named are as in the catalogue. */
export type MetricSwitches = Readonly<Record<string, boolean>>;

interface ScraperConfig {
  readonly metrics: MetricSwitches;
}

interface NamedConfig extends ScraperConfig {
  readonly include?: NameTest | undefined;
  readonly exclude?: NameTest | undefined;
}

export interface ProcessScraperConfig extends NamedConfig {
  readonly mute_process_all_errors: boolean;
  readonly mute_process_name_error: boolean;
  readonly mute_process_exe_error: boolean;
  readonly mute_process_io_error: boolean;
  readonly mute_process_user_error: boolean;
  readonly mute_process_cgroup_error: boolean;
  /** ms */
  readonly scrape_process_delay: number;
  readonly resource_attributes: Readonly<Record<string, boolean>>;
}

export interface HostMetricsConfig {
  /** ms */
  readonly collection_interval: number;
  readonly initial_delay: number;
  readonly timeout: number;
  readonly root_path: string;
  readonly scrapers: {
    readonly cpu?: ScraperConfig | undefined;
    readonly disk?: NamedConfig | undefined;
    readonly filesystem?:
      | (ScraperConfig & {
          readonly include_virtual_filesystems: boolean;
          readonly include_devices?: NameTest | undefined;
          readonly exclude_devices?: NameTest | undefined;
          readonly include_fs_types?: NameTest | undefined;
          readonly exclude_fs_types?: NameTest | undefined;
          readonly include_mount_points?: NameTest | undefined;
          readonly exclude_mount_points?: NameTest | undefined;
        })
      | undefined;
    readonly load?: (ScraperConfig & { readonly cpu_average: boolean }) | undefined;
    readonly memory?: ScraperConfig | undefined;
    readonly network?: NamedConfig | undefined;
    readonly paging?: ScraperConfig | undefined;
    readonly process?: ProcessScraperConfig | undefined;
    readonly processes?: ScraperConfig | undefined;
    readonly system?: ScraperConfig | undefined;
  };
}

const PROCESS_ATTRIBUTES: Readonly<Record<string, boolean>> = {
  "process.pid": true,
  "process.parent_pid": true,
  "process.executable.name": true,
  "process.executable.path": true,
  "process.command": true,
  "process.command_line": true,
  "process.owner": true,
  "process.cgroup": false,
};

type Switch = { readonly enabled: boolean };

function switches(defaults: Readonly<Record<string, boolean>>): z.ZodType<Record<string, boolean>> {
  const shape = Object.fromEntries(
    Object.entries(defaults).map(([name, isOn]) => [
      name,
      z.strictObject({ enabled: z.boolean().default(isOn) }).prefault({}),
    ]),
  );
  return z
    .strictObject(shape)
    .prefault({})
    .transform((input: Readonly<Record<string, Switch>>) =>
      Object.fromEntries(Object.entries(input).map(([name, { enabled }]) => [name, enabled])),
    );
}

function metrics(scraper: ScraperName): z.ZodType<Record<string, boolean>> {
  const defaults = metricsOf(scraper).map(({ name, isDefault }) => [name, isDefault] as const);
  return switches(Object.fromEntries(defaults)).describe("Which metrics are emitted.");
}

/** Null, as an empty section, is taken as `{}`. */
function section<Output>(schema: z.ZodType<Output>): z.ZodType<Output | undefined> {
  return z.preprocess((input) => (input === null ? {} : input), schema.optional());
}

function plain(scraper: ScraperName): z.ZodType<ScraperConfig | undefined> {
  return section(z.strictObject({ metrics: metrics(scraper) }));
}

function named(scraper: ScraperName, key: string): z.ZodType<NamedConfig | undefined> {
  return section(
    z.strictObject({
      include: namesSchema(key, "what is read"),
      exclude: namesSchema(key, "what is left out"),
      metrics: metrics(scraper),
    }),
  );
}

const filesystem = section(
  z.strictObject({
    metrics: metrics("filesystem"),
    include_virtual_filesystems: z
      .boolean()
      .default(false)
      .describe("Also those without a device, such as tmpfs."),
    include_devices: namesSchema("devices", "devices"),
    exclude_devices: namesSchema("devices", "devices"),
    include_fs_types: namesSchema("fs_types", "filesystem types"),
    exclude_fs_types: namesSchema("fs_types", "filesystem types"),
    include_mount_points: namesSchema("mount_points", "mount points"),
    exclude_mount_points: namesSchema("mount_points", "mount points"),
  }),
);

function mute(what: string): z.ZodType<boolean> {
  return z.boolean().default(false).describe(`Do not log that ${what} cannot be read.`);
}

const processSchema = section(
  z.strictObject({
    include: namesSchema("names", "processes that are read"),
    exclude: namesSchema("names", "processes that are left out"),
    metrics: metrics("process"),
    resource_attributes: switches(PROCESS_ATTRIBUTES).describe("Which attributes are set."),
    mute_process_all_errors: mute("something of a process"),
    mute_process_name_error: mute("the name of a process"),
    mute_process_exe_error: mute("the executable of a process"),
    mute_process_io_error: mute("the I/O of a process"),
    mute_process_user_error: mute("the owner of a process"),
    mute_process_cgroup_error: mute("the cgroup of a process"),
    scrape_process_delay: duration().default(0).describe("Younger processes are left out."),
  }),
);

export const configSchema: z.ZodType<HostMetricsConfig> = z.strictObject({
  collection_interval: duration({ positive: true }).default(60_000).describe("Time between reads."),
  initial_delay: duration().default(1_000).describe("Time before the first."),
  timeout: duration().default(0).describe("Accepted, without effect."),
  metadata_collection_interval: duration().default(300_000).describe("Accepted, without effect."),
  root_path: z.string().default("").describe("Where the host's root is mounted, as /hostfs."),
  scrapers: z
    .strictObject({
      cpu: plain("cpu"),
      disk: named("disk", "devices"),
      filesystem,
      load: section(
        z.strictObject({
          metrics: metrics("load"),
          cpu_average: z.boolean().default(false).describe("Divide by the number of CPUs."),
        }),
      ),
      memory: plain("memory"),
      network: named("network", "interfaces"),
      paging: plain("paging"),
      process: processSchema,
      processes: plain("processes"),
      system: plain("system"),
    })
    .refine((scrapers) => SCRAPERS.some((name) => scrapers[name] !== undefined), {
      error: `must specify at least one scraper when using hostmetrics receiver. Scrapers are ${SCRAPERS.join(", ")}`,
    }),
});
