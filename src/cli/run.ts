// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { stringify } from "yaml";
import type { Factory } from "../component/component.ts";
import { AgentError } from "../component/errors.ts";
import { fetchConfig } from "../config/fetch-config.ts";
import type { Loaded } from "../config/load.ts";
import { printableConfig } from "../config/print.ts";
import { ConfigError } from "../config/problem.ts";
import { importComponents } from "../kit/import-components.ts";
import { Agent, dryBuild } from "./agent.ts";
import { type Arguments, featureGateProblem, parseArguments, USAGE } from "./arguments.ts";
import { componentsText } from "./components.ts";

export interface CliInputs {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  readonly factories: readonly Factory[];
  stdout(text: string): void;
  stderr(text: string): void;
}

/** Runs one command; gives the exit status. */
export async function runCli(inputs: CliInputs): Promise<number> {
  const parsed = parseArguments(inputs.argv);
  if (typeof parsed === "string") return fail(inputs, parsed);
  switch (parsed.command) {
    case "help":
      inputs.stdout(USAGE);
      return 0;
    case "version":
      inputs.stdout(`backstitch version ${inputs.version}\n`);
      return 0;
    case "components":
      inputs.stdout(componentsText(inputs.factories, inputs.version));
      return 0;
    case "featuregate":
      inputs.stdout("ID  Enabled  Stage  Description\n");
      return 0;
    case "doctor":
      return await withDoctor(inputs, parsed);
    case "run":
    case "validate":
    case "print-config":
      return await withConfig(inputs, parsed);
  }
}

async function withDoctor(inputs: CliInputs, { uris, sets, json }: Arguments): Promise<number> {
  const { factories, env, version } = inputs;
  const readFile = (path: string): string => readFileSync(path, "utf8");
  try {
    const config =
      uris.length === 0
        ? undefined
        : (await fetchConfig({ uris, sets, factories, env, readFile, importComponents })).config;
    const { runDoctor } = await import("./doctor/doctor.ts");
    const stdout = (text: string): void => inputs.stdout(text);
    return await runDoctor({ version, config, isJson: json, stdout });
  } catch (error) {
    return fail(inputs, describeFailure(error, true));
  }
}

async function withConfig(inputs: CliInputs, parsed: Arguments): Promise<number> {
  const gateProblem = featureGateProblem(parsed.featureGates);
  if (gateProblem !== undefined) return fail(inputs, gateProblem);
  if (parsed.uris.length === 0) {
    return fail(
      inputs,
      "at least one config flag must be provided. Try --config config.example.yaml",
    );
  }
  const printProblem = printOptionProblem(parsed);
  if (printProblem !== undefined) return fail(inputs, printProblem);
  try {
    const files = new Set<string>();
    const read = (): Promise<Loaded> => {
      files.clear();
      return fetchConfig({
        uris: parsed.uris,
        sets: parsed.sets,
        factories: inputs.factories,
        env: inputs.env,
        importComponents,
        readFile: (path) => {
          files.add(path);
          return readFileSync(path, "utf8");
        },
      });
    };
    const loaded = await read();
    if (parsed.command === "validate") {
      await dryBuild(loaded, inputs.version);
      return 0;
    }
    if (parsed.command === "print-config") return printConfig(inputs, parsed, loaded);
    const watched = parsed.watch ? files : undefined;
    return await new Agent({ loaded, version: inputs.version, reread: read, watched }).run();
  } catch (error) {
    return fail(inputs, describeFailure(error, parsed.command !== "run"));
  }
}

function printOptionProblem({ mode, format }: Arguments): string | undefined {
  if (mode !== "redacted" && mode !== "unredacted") {
    return `invalid mode "${mode}": modes are: redacted, unredacted`;
  }
  if (format !== "yaml" && format !== "json") return `unrecognized print format: ${format}`;
  return undefined;
}

function printConfig(inputs: CliInputs, parsed: Arguments, loaded: Loaded): number {
  const printable = printableConfig(loaded.config, { redacted: parsed.mode === "redacted" });
  const isJson = parsed.format === "json";
  inputs.stdout(isJson ? `${JSON.stringify(printable, undefined, 2)}\n` : stringify(printable));
  return 0;
}

function describeFailure(error: unknown, isValidate: boolean): string {
  if (error instanceof ConfigError) {
    const prefix = isValidate ? "" : "invalid configuration: ";
    const { length } = error.problems;
    const count = length === 1 ? "" : `${length} problems`;
    return length === 1 ? `${prefix}${error.message}` : `${prefix}${count}\n${error.message}`;
  }
  if (error instanceof AgentError) return error.message;
  return error instanceof Error ? `internal error: ${error.stack ?? error.message}` : String(error);
}

function fail(inputs: CliInputs, message: string): number {
  inputs.stderr(`Error: ${message}\n`);
  return 1;
}
