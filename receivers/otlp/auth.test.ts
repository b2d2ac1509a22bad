// SPDX-License-Identifier: Apache-2.0
/** Who is let in, over both protocols, and pages of other origins: whole services, in this process. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { loadConfig } from "../../src/config/load.ts";
import { Service } from "../../src/pipeline/service.ts";
import { FACTORIES } from "../../src/registry.ts";
import {
  createMemoryTelemetry,
  type MemoryTelemetry,
} from "../../src/telemetry/memory-telemetry.ts";

const SPAN = {
  traceId: "5b8efff798038103d269b633813fc60c",
  spanId: "eee19b7ec3c1b174",
  name: "GET",
  startTimeUnixNano: "1",
  endTimeUnixNano: "2",
};
const BODY = JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [SPAN] }] }] });

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function start(t: TestContext, yaml: string): Promise<MemoryTelemetry> {
  const memory = createMemoryTelemetry();
  const inputs = { sets: [], env: {}, readFile: () => "", factories: FACTORIES };
  const service = new Service({
    config: loadConfig({ ...inputs, uris: [`yaml:${yaml}`] }).config,
    buildInfo: { version: "0" },
    telemetryFor: () => memory.telemetry,
    logger: memory.telemetry.logger,
    onBroken: (id, error) => assert.fail(`${id}: ${String(error)}`),
  });
  t.after(() => service.shutdown(AbortSignal.abort()));
  await service.start();
  return memory;
}

async function post(port: number, headers: Record<string, string>): Promise<Response> {
  return await fetch(`http://127.0.0.1:${port}/v1/traces`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: BODY,
  });
}

function basic(user: string, password: string): Record<string, string> {
  const credentials = Buffer.from(`${user}:${password}`).toString("base64");
  return { authorization: `Basic ${credentials}` };
}

test("HTTP: only those with the right name and password are let in", async (t) => {
  const port = await freePort();
  const sha = "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="; // "password"
  const memory = await start(
    t,
    `{
    receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:${port}", auth: {authenticator: basicauth}}}}},
    exporters: {nop: }, extensions: {basicauth: {htpasswd: {inline: "ann:secret\\nbob:${sha}"}}},
    service: {extensions: [basicauth], pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}}`,
  );
  const status = async (headers: Record<string, string>): Promise<number> =>
    (await post(port, headers)).status;
  for (const headers of [
    basic("ann", "secret"),
    basic("bob", "password"),
    basic("ann", "secret"),
  ]) {
    assert.equal(await status(headers), 200);
  }
  const wrong = [
    {},
    { authorization: "Bearer x" },
    { authorization: "Basic !" },
    basic("ann", "password"),
    basic("nobody", "secret"),
    basic("", ""),
  ];
  for (const headers of wrong) assert.equal(await status({ ...headers }), 401);
  const refused = await post(port, {});
  assert.deepEqual(await refused.json(), { code: 16, message: "no basic auth provided" });
  const accepted = 'otelcol_receiver_accepted_spans{receiver="otlp",transport="http"}';
  assert.equal(await memory.value(accepted), 3);
});

test("gRPC: an exporter shows its token, and is refused for good without it", async (t) => {
  const [port, http] = [await freePort(), await freePort()];
  const gateway = (token: string): string => `{
    receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:${http}"}}}},
    exporters: {otlp_grpc: {endpoint: "127.0.0.1:${port}", tls: {insecure: true},
      auth: {authenticator: bearertokenauth}}},
    extensions: {bearertokenauth: {token: ${token}}},
    service: {extensions: [bearertokenauth],
      pipelines: {traces: {receivers: [otlp], exporters: [otlp_grpc]}}}}`;
  const server = await start(
    t,
    `{
    receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:${port}",
      auth: {authenticator: bearertokenauth}}}}},
    exporters: {nop: }, extensions: {bearertokenauth: {tokens: [old, new]}},
    service: {extensions: [bearertokenauth],
      pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}}`,
  );
  const accepted = 'otelcol_receiver_accepted_spans{receiver="otlp",transport="grpc"}';
  await t.test("right", async (inner) => {
    await start(inner, gateway("new"));
    assert.equal((await post(http, {})).status, 200);
    for (let turn = 0; turn < 100 && (await server.value(accepted)) < 1; turn++) await sleep(20);
    assert.equal(await server.value(accepted), 1);
  });
  await t.test("wrong", async (inner) => {
    const client = await start(inner, gateway("guess"));
    assert.equal((await post(http, {})).status, 200);
    const failed = 'otelcol_exporter_send_failed_spans{exporter="otlp_grpc"}';
    for (let turn = 0; turn < 100 && (await client.value(failed)) < 1; turn++) await sleep(20);
    assert.equal(await client.value(failed), 1);
    assert.equal(await server.value(accepted), 1);
  });
});

test("pages of allowed origins are answered, others get no permission", async (t) => {
  const port = await freePort();
  await start(
    t,
    `{
    receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:${port}",
      cors: {allowed_origins: ["https://*.example.com"], allowed_headers: [X-Tenant], max_age: 600}}}}},
    exporters: {nop: }, service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}}`,
  );
  const ask = async (origin: string): Promise<Headers> => {
    const response = await fetch(`http://127.0.0.1:${port}/v1/traces`, {
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "x-tenant,content-type,x-other",
      },
    });
    assert.equal(response.status, 204);
    return response.headers;
  };
  const allowed = await ask("https://shop.example.com");
  assert.equal(allowed.get("access-control-allow-origin"), "https://shop.example.com");
  assert.equal(allowed.get("access-control-allow-headers"), "x-tenant, content-type");
  assert.equal(allowed.get("access-control-max-age"), "600");
  for (const origin of ["https://example.com.evil.org", "http://shop.example.com"]) {
    assert.equal((await ask(origin)).get("access-control-allow-origin"), null);
  }
  const sent = await post(port, { origin: "https://shop.example.com" });
  assert.equal(sent.status, 200);
  assert.equal(sent.headers.get("access-control-allow-origin"), "https://shop.example.com");
});

test("an authenticator that is not there, or the wrong kind, is an error at start", async (t) => {
  const port = await freePort();
  const yaml = (extension: string): string => `{
    receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:${port}", auth: {authenticator: ${extension}}}}}},
    exporters: {nop: }, extensions: {basicauth: {client_auth: {username: ann}}},
    service: {extensions: [basicauth], pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}}`;
  await assert.rejects(start(t, yaml("basicauth")), /is not a server authenticator/);
  await assert.rejects(start(t, yaml("nobody")), /"nobody": authenticator not found/);
});
