#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";

const built = new URL("../dist/cli.js", import.meta.url);
const { main } = await import(existsSync(built) ? built.href : "../src/cli.ts");
process.exitCode = main(process.argv.slice(2));
