// SPDX-License-Identifier: Apache-2.0
// Waits for SIGUSR2, then is the load client: node gated-load.ts LOAD-MAIN OPTIONS
import { pathToFileURL } from "node:url";

const [, , load = "", options = ""] = process.argv;
const waiting = setInterval(() => {}, 1_000_000);
process.once("SIGUSR2", () => {
  clearInterval(waiting);
  process.argv.splice(1, 3, load, options);
  import(pathToFileURL(load).href).catch((error) => {
    process.stderr.write(`${error}\n`);
    process.exitCode = 1;
  });
});
process.stdout.write("waiting\n");
