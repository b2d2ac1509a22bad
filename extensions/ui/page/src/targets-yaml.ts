// SPDX-License-Identifier: Apache-2.0
import type { FoundProcess, Target } from "./api-types.ts";

/** Reads the same as a plain scalar in YAML 1.1 and 1.2, and is text in both. */
const PLAIN = /^(?=[A-Za-z/])(?!(?:true|false|yes|no|on|off|null|y|n)$)[\w./-]+$/i;
const PORTS = /^\d{1,5}(?:-\d{1,5})?$/;
/** What YAML 1.2 does not take unescaped in double quotes besides what JSON escapes. */
const UNPRINTABLE = /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g;

/** A process may be called anything, so what is not plainly harmless is quoted. */
function scalar(text: string): string {
  if (PLAIN.test(text) || PORTS.test(text)) return text;
  // The configuration expands ${…}; $$ stands for one $.
  return JSON.stringify(text.replaceAll("$", "$$$$")).replace(
    UNPRINTABLE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function line({ ports, exe, command }: Target): string | undefined {
  if (ports !== undefined) return `- ports: ${scalar(ports)}`;
  if (exe !== undefined) return `- exe: ${scalar(exe)}`;
  return command === undefined ? undefined : `- command: ${scalar(command)}`;
}

/** The part of a configuration that selects these processes; each by its most useful target. */
export function targetsYaml(processes: readonly FoundProcess[]): string {
  const lines = processes.flatMap(({ targets }) => {
    const [first] = targets;
    return first === undefined ? [] : (line(first) ?? []);
  });
  const targets = [...new Set(lines)].map((text) => `      ${text}\n`).join("");
  return `extensions:\n  discovery:\n    targets:\n${targets}`;
}
