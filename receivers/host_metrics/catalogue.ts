// SPDX-License-Identifier: Apache-2.0

/** A metric as the Collector's receiver names and describes it. */
export interface MetricDefinition {
  readonly name: string;
  readonly description: string;
  readonly unit: string;
  /** `count`: a sum that only grows; `amount`: a sum that also falls; `gauge`. */
  readonly kind: "count" | "amount" | "gauge";
  readonly isInteger: boolean;
  /** Emitted unless switched off. */
  readonly isDefault: boolean;
}

export const SCRAPERS = [
  "cpu",
  "disk",
  "filesystem",
  "load",
  "memory",
  "network",
  "paging",
  "process",
  "processes",
  "system",
] as const;
export type ScraperName = (typeof SCRAPERS)[number];

type Row = readonly [
  name: string,
  kind: MetricDefinition["kind"],
  unit: string,
  number: "int" | "double",
  description: string,
];

/** On by default, then those that must be switched on. */
interface Table {
  readonly on: readonly Row[];
  readonly off?: readonly Row[];
}

const TABLES: Readonly<Record<ScraperName, Table>> = {
  cpu: {
    on: [
      ["system.cpu.time", "count", "s", "double", "Seconds each logical CPU spent on each mode."],
    ],
    off: [
      ["system.cpu.utilization", "gauge", "1", "double", "Share of time in each mode, 0 to 1."],
      ["system.cpu.frequency", "gauge", "Hz", "double", "Frequency of the core now."],
      ["system.cpu.logical.count", "amount", "{cpu}", "int", "Logical CPUs."],
      ["system.cpu.physical.count", "amount", "{cpu}", "int", "Physical cores."],
    ],
  },
  disk: {
    on: [
      ["system.disk.io", "count", "By", "int", "Disk bytes transferred."],
      ["system.disk.operations", "count", "{operations}", "int", "Disk operations."],
      ["system.disk.io_time", "count", "s", "double", "Time the disk was active."],
      ["system.disk.operation_time", "count", "s", "double", "Time spent in disk operations."],
      ["system.disk.weighted_io_time", "count", "s", "double", "Active time times queue length."],
      ["system.disk.pending_operations", "amount", "{operations}", "int", "Operations queued."],
      ["system.disk.merged", "count", "{operations}", "int", "Operations merged into others."],
    ],
  },
  filesystem: {
    on: [
      ["system.filesystem.usage", "amount", "By", "int", "Filesystem bytes by state."],
      ["system.filesystem.inodes.usage", "amount", "{inodes}", "int", "Inodes by state."],
    ],
    off: [
      ["system.filesystem.utilization", "gauge", "1", "double", "Share of bytes that are used."],
    ],
  },
  load: {
    on: [
      ["system.cpu.load_average.1m", "gauge", "{thread}", "double", "Load over 1 minute."],
      ["system.cpu.load_average.5m", "gauge", "{thread}", "double", "Load over 5 minutes."],
      ["system.cpu.load_average.15m", "gauge", "{thread}", "double", "Load over 15 minutes."],
    ],
  },
  memory: {
    on: [["system.memory.usage", "amount", "By", "int", "Bytes of memory by state."]],
    off: [
      ["system.memory.utilization", "gauge", "1", "double", "Share of memory by state."],
      ["system.memory.limit", "amount", "By", "int", "Bytes of memory there are."],
      ["system.memory.page_size", "gauge", "By", "int", "Bytes of a page."],
      ["system.linux.memory.available", "amount", "By", "int", "Bytes that programs could get."],
      ["system.linux.memory.dirty", "amount", "By", "int", "Bytes waiting to be written."],
    ],
  },
  network: {
    on: [
      ["system.network.io", "count", "By", "int", "Bytes received and transmitted."],
      ["system.network.packets", "count", "{packets}", "int", "Packets transferred."],
      ["system.network.errors", "count", "{errors}", "int", "Errors met."],
      ["system.network.dropped", "count", "{packets}", "int", "Packets dropped."],
      ["system.network.connections", "amount", "{connections}", "int", "Connections by state."],
    ],
    off: [
      ["system.network.conntrack.count", "amount", "{entries}", "int", "Entries in conntrack."],
      ["system.network.conntrack.max", "amount", "{entries}", "int", "Entries that fit."],
    ],
  },
  paging: {
    on: [
      ["system.paging.usage", "amount", "By", "int", "Swap by device and state."],
      ["system.paging.operations", "count", "{operations}", "int", "Paging operations."],
      ["system.paging.faults", "count", "{faults}", "int", "Page faults."],
    ],
    off: [["system.paging.utilization", "gauge", "1", "double", "Share of swap by state."]],
  },
  process: {
    on: [
      ["process.cpu.time", "count", "s", "double", "CPU seconds by state."],
      ["process.disk.io", "count", "By", "int", "Disk bytes transferred."],
      ["process.memory.usage", "amount", "By", "int", "Physical memory in use."],
      ["process.memory.virtual", "amount", "By", "int", "Virtual memory size."],
    ],
    off: [
      ["process.context_switches", "count", "{count}", "int", "Context switches."],
      ["process.cpu.utilization", "gauge", "1", "double", "Share of CPU time since last time."],
      ["process.disk.operations", "count", "{operations}", "int", "Disk operations."],
      ["process.memory.utilization", "gauge", "1", "double", "Share of physical memory."],
      ["process.open_file_descriptors", "amount", "{count}", "int", "File descriptors open."],
      ["process.paging.faults", "count", "{faults}", "int", "Page faults."],
      ["process.signals_pending", "amount", "{signals}", "int", "Signals pending."],
      ["process.threads", "amount", "{threads}", "int", "Threads."],
      ["process.uptime", "gauge", "s", "double", "Time since the process started."],
    ],
  },
  processes: {
    on: [
      ["system.processes.count", "amount", "{processes}", "int", "Processes by state."],
      ["system.processes.created", "count", "{processes}", "int", "Processes created."],
    ],
  },
  system: {
    on: [["system.uptime", "gauge", "s", "double", "Time the system has been running."]],
  },
};

/** The metrics of a scraper, in the order in which they are emitted. */
export function metricsOf(scraper: ScraperName): readonly MetricDefinition[] {
  const { on, off = [] } = TABLES[scraper];
  const definition = ([name, kind, unit, number, description]: Row, isDefault: boolean) => ({
    name,
    kind,
    unit,
    description,
    isDefault,
    isInteger: number === "int",
  });
  return [...on.map((row) => definition(row, true)), ...off.map((row) => definition(row, false))];
}
