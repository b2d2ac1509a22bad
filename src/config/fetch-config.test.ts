// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { type TestContext, test } from "node:test";
import { FIXTURES } from "../../test/config/fixture-components.ts";
import { fetchConfig } from "./fetch-config.ts";
import type { Loaded } from "./load.ts";
import { ConfigError } from "./problem.ts";

const CONFIG = `receivers: {source: {label: "\${http://HOST/label}"}}
exporters: {nothing: {}}
service: {pipelines: {traces: {receivers: [source], exporters: [nothing]}}}
`;

/** Serves texts by path; gives `host:port`. */
async function serve(t: TestContext, texts: Record<string, string>): Promise<string> {
  const server = createServer((request, response) => {
    const text = texts[request.url ?? ""]?.replaceAll("HOST", request.headers.host ?? "");
    response.writeHead(text === undefined ? 404 : 200).end(text);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const address = server.address();
  return `127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
}

function load(uris: readonly string[], text = ""): Promise<Loaded> {
  return fetchConfig({ uris, sets: [], env: {}, factories: FIXTURES, readFile: () => text });
}

test("a configuration and what it refers to are fetched over HTTP", async (t) => {
  const host = await serve(t, { "/config": CONFIG, "/label": `\${yaml:1.50}` });
  const { config } = await load([`http://${host}/config`]);
  assert.deepEqual(Object(config.receivers.get("source")?.config).label, "1.50");
});

test("what cannot be fetched is a located problem", async (t) => {
  const host = await serve(t, { "/config": CONFIG });
  await assert.rejects(load([`http://${host}/config`]), (error) => {
    assert.ok(error instanceof ConfigError);
    assert.match(error.message, /:1:\d+ receivers::source::label: .*status code: 404/);
    return true;
  });
  await assert.rejects(load([`http://user:secret@${host}/nothing?token=secret`]), (error) => {
    assert.ok(error instanceof ConfigError);
    assert.doesNotMatch(error.message, /secret/);
    return true;
  });
  await assert.rejects(load(["https://127.0.0.1:1/config"]), /cannot read the configuration/);
});

test("addresses that refer to each other without end are refused", async (t) => {
  let count = 0;
  const server = createServer((_request, response) => {
    response.end(`x\${http://${host()}/${++count}}`);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const host = (): string => {
    const address = server.address();
    return `127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
  };
  await assert.rejects(load([`yaml:receivers::source::label: \${http://${host()}/0}`]));
  assert.ok(count > 1 && count < 50);
});
