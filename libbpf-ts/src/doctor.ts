// SPDX-License-Identifier: Apache-2.0
import type { FeatureReport } from "./features.ts";
import type { ProbeResult } from "./probe.ts";

const NAME_COLUMNS = 26;

function line(name: string, result: ProbeResult): string {
  if (result.isSupported) {
    return `  yes  ${name}`;
  }
  return `  no   ${name.padEnd(NAME_COLUMNS)} ${result.errno}. ${result.advice}`.trimEnd();
}

function section(title: string, results: Readonly<Record<string, ProbeResult>>): string[] {
  const entries = Object.entries(results);
  const works = entries.filter(([, each]) => each.isSupported).map(([name]) => name);
  const missing = entries.filter(([, each]) => !each.isSupported);
  return [
    "",
    `${title}: ${works.length} of ${entries.length}`,
    ...wrap(works.join(", ")),
    ...missing.map(([name, result]) => line(name, result)),
  ];
}

const COLUMNS_MAX = 96;

function wrap(text: string): string[] {
  const lines: string[] = [];
  let current = "";
  for (const word of text.split(" ")) {
    if (current.length + word.length + 8 > COLUMNS_MAX) {
      lines.push(`  yes  ${current.trimEnd()}`);
      current = "";
    }
    current += `${word} `;
  }
  return current.trim() === "" ? lines : [...lines, `  yes  ${current.trimEnd()}`];
}

function bytesText(bytes: number): string {
  return Number.isFinite(bytes) ? `${Math.round(bytes / 1024)} KiB` : "unlimited";
}

/** A report for people: what works in short, and for each thing that does not, why and what to do. */
export function formatReport(report: FeatureReport): string {
  const capabilities = Object.entries(report.capabilities);
  const held = capabilities.filter(([, has]) => has).map(([name]) => name);
  const lacking = capabilities.filter(([, has]) => !has).map(([name]) => name);
  const lines = [
    `Linux ${report.release}, ${report.possibleCpus} CPUs, libbpf ${report.libbpf}`,
    `lockdown ${report.lockdown}; locked memory ${bytesText(report.memlockBytes)}`,
    `capabilities: ${held.join(", ") || "none"}${lacking.length > 0 ? `; not: ${lacking.join(", ")}` : ""}`,
    "",
    "Needed for everything",
    line("kernel BTF", report.btf),
    line("BTF tracepoints", report.tracing),
    line("ring buffer", report.ringBuffer),
    line("bpffs", report.mounts.bpffs),
    line("tracefs", report.mounts.tracefs),
    ...section("Attaching", report.attachKinds),
    ...section("Program types", report.programTypes),
    ...section("Map types", report.mapTypes),
    ...section("Helpers", report.helpers),
    ...section("Kernel functions", report.kfuncs),
  ];
  return `${lines.join("\n")}\n`;
}

/** Whether programs can be loaded at all. */
export function isUsable(report: FeatureReport): boolean {
  return report.btf.isSupported && report.ringBuffer.isSupported && report.tracing.isSupported;
}
