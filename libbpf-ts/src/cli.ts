// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { parseArgs } from "node:util";

import { formatReport, isUsable } from "./doctor.ts";
import { BpfError } from "./errors.ts";
import { probeAll } from "./features.ts";
import { generateTypes } from "./generate.ts";

const USAGE = `libbpf-ts: eBPF for TypeScript

  libbpf-ts generate FILE.bpf.o [options] > FILE.ts
      Types and decoders for the maps, variables, events and programs of an object.
      --type NAME        also this struct, union or enum; may be given again
      --event MAP=TYPE   what the ring MAP holds, where no pointer MAP_record says it
      --header TEXT      the first line, a licence for instance
      --import FROM      where the generated code imports libbpf-ts from

  libbpf-ts build
      Builds the native addon from source, where there is no prebuilt one: needs Rust, libelf, zlib.

  libbpf-ts doctor [--json]
      What this kernel has and allows, and what to do about the rest. Ends with 1 when programs
      cannot be loaded at all.
`;

export interface CliStreams {
  readonly out: (text: string) => void;
  readonly error: (text: string) => void;
}

function parseEvents(given: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    given.map((text) => {
      const [map = "", type = ""] = text.split("=");
      if (map === "" || type === "") {
        throw new BpfError({ code: "ARGUMENT", message: `--event ${text}: give it as MAP=TYPE.` });
      }
      return [map, type];
    }),
  );
}

function generate(words: readonly string[], { out }: CliStreams): void {
  const { values, positionals } = parseArgs({
    args: [...words],
    allowPositionals: true,
    options: {
      type: { type: "string", multiple: true },
      event: { type: "string", multiple: true },
      header: { type: "string" },
      import: { type: "string" },
    },
  });
  const [path, second] = positionals;
  if (path === undefined || second !== undefined) {
    throw new BpfError({ code: "ARGUMENT", message: "generate: give one object file." });
  }
  const { header, import: importFrom } = values;
  out(
    generateTypes(readFileSync(path), {
      name: basename(path),
      types: values.type ?? [],
      events: parseEvents(values.event ?? []),
      ...(header === undefined ? {} : { header }),
      ...(importFrom === undefined ? {} : { importFrom }),
    }),
  );
}

function doctor(words: readonly string[], { out }: CliStreams): number {
  const options = { json: { type: "boolean" } } as const;
  const { values } = parseArgs({ args: [...words], options });
  const report = probeAll();
  out(values.json === true ? `${JSON.stringify(report, null, 2)}\n` : formatReport(report));
  return isUsable(report) ? 0 : 1;
}

/** The command line; returns the exit status. */
export function main(
  words: readonly string[],
  streams: CliStreams = {
    out: (text) => process.stdout.write(text),
    error: (text) => process.stderr.write(text),
  },
): number {
  const [command, ...rest] = words;
  try {
    switch (command) {
      case "generate":
        generate(rest, streams);
        return 0;
      case "doctor":
        return doctor(rest, streams);
      case "--help":
      case "help":
        streams.out(USAGE);
        return 0;
      default:
        streams.error(USAGE);
        return 2;
    }
  } catch (cause) {
    streams.error(`libbpf-ts: ${cause instanceof Error ? cause.message : String(cause)}\n`);
    return 1;
  }
}
