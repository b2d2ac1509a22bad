// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { z } from "zod";
import { runCli } from "./cli/run.ts";
import { FACTORIES } from "./registry.ts";

const packageText = readFileSync(new URL("../package.json", import.meta.url), "utf8");
const { version } = z.object({ version: z.string() }).parse(JSON.parse(packageText));

// What a component left open must not keep the process alive: everything is shut down by now.
process.exit(
  await runCli({
    argv: process.argv.slice(2),
    env: process.env,
    version,
    factories: FACTORIES,
    stdout: (text) => process.stdout.write(text),
    stderr: (text) => process.stderr.write(text),
  }),
);
