// SPDX-License-Identifier: Apache-2.0
import { fileURLToPath } from "node:url";
import type { AgentConfig } from "../../config/agent-config.ts";
import { judge } from "./checks.ts";
import { type Finding, isSound } from "./finding.ts";
import { readHost } from "./host.ts";
import { EVERYTHING, needsOf } from "./needs.ts";

const OBJECT_FOLDER = fileURLToPath(new URL("../../../build/bpf/", import.meta.url));

export interface DoctorInputs {
  readonly version: string;
  /** What the configuration at hand needs is checked; everything without one. */
  readonly config: AgentConfig | undefined;
  readonly isJson: boolean;
  stdout(text: string): void;
}

/** Says what of the agent works on this host; gives the exit status. */
export async function runDoctor(inputs: DoctorInputs): Promise<number> {
  const needs = inputs.config === undefined ? EVERYTHING : needsOf(inputs.config);
  const host = await readHost(needs, OBJECT_FOLDER);
  const findings = judge(host, needs);
  const ok = isSound(findings);
  const { release, libbpf } = host.kernel;
  const report = { version: inputs.version, kernel: release, libbpf, ok, findings };
  inputs.stdout(
    inputs.isJson
      ? `${JSON.stringify(report, undefined, 2)}\n`
      : formatFindings(`backstitch ${inputs.version} on Linux ${release}`, findings),
  );
  return ok ? 0 : 1;
}

const MARKS = { works: "yes", falls_back: "less", missing: "no", unused: "-" } as const;

/** A line a feature; below those that do not simply work, what to do. */
export function formatFindings(headline: string, findings: readonly Finding[]): string {
  const lines = findings.flatMap(({ verdict, title, why, advice }) => [
    `  ${MARKS[verdict].padEnd(5)}${title}: ${why}`,
    ...(advice === "" ? [] : [`       → ${advice}`]),
  ]);
  const essential = findings.filter((each) => each.verdict === "missing" && each.isEssential);
  const fallbacks = findings.filter(
    (each) => !essential.includes(each) && ["falls_back", "missing"].includes(each.verdict),
  );
  const verdict =
    essential.length > 0
      ? `Backstitch cannot do its work here. Missing: ${essential.map((each) => each.title).join("; ")}.`
      : fallbacks.length > 0
        ? `Backstitch works here, with ${fallbacks.length} limitation${fallbacks.length === 1 ? "" : "s"}.`
        : "Backstitch works here.";
  return `${headline}\n\n${lines.join("\n")}\n\n${verdict}\n`;
}
