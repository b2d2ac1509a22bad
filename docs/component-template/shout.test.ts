// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { fetchConfig } from "../../src/config/fetch-config.ts";
import { importComponents } from "../../src/kit/import-components.ts";
import { FACTORIES } from "../../src/registry.ts";
import { endAfterEach, testComponent } from "../../test/contract/component-contract.ts";
import { Harness, spansOf } from "../../test/contract/harness.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
const [factory] = await importComponents("./shout.ts", here);
assert.ok(factory !== undefined);

endAfterEach();
testComponent({ factory, body: () => "{}", readmes: [new URL("README.md", import.meta.url)] });

test("spans come out with their names in capitals", async () => {
  const harness = new Harness({ processor: 'shout: {suffix: "?"}', factories: [factory] });
  await harness.topology.start();
  harness.emit(spansOf(2, 1));
  await harness.topology.shutdown(AbortSignal.timeout(60_000));
  const bytes = Buffer.concat(harness.chunks).toString("latin1");
  assert.match(bytes, /SPAN 0\?.*SPAN 1\?/s);
});

test("the configuration beside it finds it", async () => {
  const { config } = await fetchConfig({
    uris: [`${here}config.yaml`],
    sets: [],
    env: {},
    readFile: (path) => {
      assert.ok(path.endsWith("config.yaml"));
      return `receivers: {otlp: {protocols: {grpc: }}}
processors: {shout: }
exporters: {nop: }
service:
  components: [./shout.ts]
  pipelines: {traces: {receivers: [otlp], processors: [shout], exporters: [nop]}}`;
    },
    factories: FACTORIES,
    importComponents,
  });
  assert.deepEqual(config.processors.get("shout")?.config, { suffix: "!" });
});
