// SPDX-License-Identifier: Apache-2.0
// Writes to a store until it is killed, and says on stdout which spans are in its files.
import { StoreWriter } from "../../src/store/store-writer.ts";
import { body, testSpan } from "../../src/store/test-support.ts";

const [directory = "", first = "0"] = process.argv.slice(2);
const quiet = (): void => undefined;
const writer = await StoreWriter.open({
  directory,
  bytesMax: 2 ** 20,
  ageMaxMs: 0,
  logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
  nowMs: Date.now,
  onDropped: (reason, spans) => process.stdout.write(`dropped ${reason} ${spans}\n`),
  onFailed: quiet,
});
for (let number = Number(first); ; number += 50) {
  const spans = Array.from({ length: 50 }, (_, at) => testSpan(number + at));
  await writer.append({ chunks: [body("crash", spans)] });
  await writer.flush();
  process.stdout.write(`${number + 50}\n`);
}
