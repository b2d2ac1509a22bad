// SPDX-License-Identifier: Apache-2.0
import { nearest } from "../config/nearest.ts";

const COMMANDS = [
  "run",
  "validate",
  "components",
  "featuregate",
  "print-config",
  "doctor",
  "help",
] as const;
export type Command = (typeof COMMANDS)[number];

export interface Arguments {
  readonly command: Command | "version";
  readonly uris: readonly string[];
  readonly sets: readonly string[];
  readonly featureGates: readonly string[];
  /** Reload when a configuration file changes. */
  readonly watch: boolean;
  /** Of `doctor`. */
  readonly json: boolean;
  /** Of `print-config`. */
  readonly mode: string;
  readonly format: string;
}

const VALUE_FLAGS = ["--config", "--set", "--feature-gates", "--mode", "--format"];
const FLAGS = [...VALUE_FLAGS, "--watch", "--json", "--help", "--version"];

/** Reads the command line as the Collector does; a text is what is wrong. Flags may come anywhere. */
export function parseArguments(argv: readonly string[]): Arguments | string {
  const values: Record<string, string[]> = Object.fromEntries(
    VALUE_FLAGS.map((flag) => [flag, []]),
  );
  const words: string[] = [];
  let special: "help" | "version" | undefined;
  let watch = false;
  let json = false;
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] ?? "";
    if (word === "-h" || word === "--help") special = "help";
    else if (word === "--watch") watch = true;
    else if (word === "--json") json = true;
    else if (word === "-v" || word === "--version") special ??= "version";
    else if (!word.startsWith("-") || word === "-") words.push(word);
    else {
      const equals = word.indexOf("=");
      const flag = equals === -1 ? word : word.slice(0, equals);
      const list = values[flag];
      if (list === undefined) return unknownFlag(flag);
      const value = equals === -1 ? argv[++at] : word.slice(equals + 1);
      if (value === undefined) return `flag needs an argument: ${flag}`;
      if (flag === "--set" && !value.includes("=")) {
        return `invalid argument "${value}" for "--set" flag: missing equal sign. Write --set key.path=value`;
      }
      list.push(value);
    }
  }
  const command = commandOf(words);
  if (typeof command === "object") return command.message;
  return {
    command: special ?? command,
    uris: values["--config"] ?? [],
    sets: values["--set"] ?? [],
    watch,
    json,
    mode: values["--mode"]?.at(-1) ?? "redacted",
    format: values["--format"]?.at(-1) ?? "yaml",
    featureGates: (values["--feature-gates"] ?? []).flatMap((list) => list.split(",")),
  };
}

function commandOf(words: readonly string[]): Command | { readonly message: string } {
  const [first] = words;
  if (first === undefined) return "run";
  const command = COMMANDS.find((known) => known === first);
  if (command === undefined) {
    const near = nearest(first, COMMANDS);
    const hint = near === undefined ? "" : ` Did you mean "${near}"?`;
    return {
      message: `unknown command "${first}" for "backstitch".${hint} Run 'backstitch --help' for usage.`,
    };
  }
  const extra = words.length - 1;
  if (extra > 0 && command !== "featuregate" && command !== "help") {
    return { message: `accepts 0 arg(s), received ${extra}` };
  }
  return command;
}

function unknownFlag(flag: string): string {
  const near = nearest(flag, FLAGS);
  const hint =
    near === undefined ? " Run 'backstitch --help' for usage." : ` Did you mean ${near}?`;
  return `unknown flag: ${flag}.${hint}`;
}

/** Checks `--feature-gates`; undefined when all is well. There are no gates yet. */
export function featureGateProblem(gates: readonly string[]): string | undefined {
  for (const [at, gate] of gates.entries()) {
    const name = gate.replace(/^[+-]/, "");
    if (name === "") return `empty feature gate identifier at index ${at}`;
    return `no such feature gate "${name}". valid gates: []`;
  }
  return undefined;
}

export const USAGE = `Backstitch: an OpenTelemetry agent that traces services without touching them

Usage:
  backstitch --config FILE [flags]
  backstitch [command]

Commands:
  validate      check the configuration and exit
  components    list the components of this build
  print-config  show the configuration with all defaults; --mode=redacted|unredacted,
                --format=yaml|json
  doctor        say what of the agent works on this host, what falls back, and why; with --config
                of what that configuration needs; --json
  featuregate   list feature gates
  help          show this text

Flags:
      --config URI           configuration: a path, file:PATH, env:NAME, yaml:TEXT, http(s)://…; repeat to merge
      --set KEY.PATH=VALUE   override one value after all --config; repeatable
      --watch                reload when a configuration file changes, as after SIGHUP
      --feature-gates LIST   enable gates, -NAME disables
  -h, --help                 show this text
  -v, --version              show the version

Try: backstitch --config config.example.yaml
`;
