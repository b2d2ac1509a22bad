// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import { type TestContext, test } from "node:test";
import { AgentError } from "../../src/component/errors.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { configSchema } from "./config.ts";
import { Oauth2Client } from "./oauth2-client.ts";

interface Asked {
  readonly headers: IncomingHttpHeaders;
  readonly form: URLSearchParams;
}

type Answer = (asked: Asked, count: number) => readonly [number, string];

async function tokenServer(context: TestContext, answer: Answer) {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const form = new URLSearchParams(Buffer.concat(chunks).toString());
      asked.push({ headers: request.headers, form });
      const [status, body] = answer({ headers: request.headers, form }, asked.length);
      response.writeHead(status, { "content-type": "application/json" }).end(body);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return { asked, token_url: `http://127.0.0.1:${address.port}/token` };
}

async function client(context: TestContext, input: object): Promise<Oauth2Client> {
  const { telemetry } = createMemoryTelemetry();
  const settings = { id: "oauth2client", telemetry, buildInfo: { version: "0" } };
  const config = configSchema.parse({ client_id: "me:1", client_secret: "s&c", ...input });
  const one = new Oauth2Client(settings, config);
  await one.start();
  context.after(() => one.shutdown());
  return one;
}

const token = (name: string, seconds: number): string =>
  JSON.stringify({ access_token: name, token_type: "bearer", expires_in: seconds });

test("one request gives the token of all who wait, with scopes and parameters", async (context) => {
  const { asked, token_url } = await tokenServer(context, () => [200, token("t1", 3_600)]);
  const one = await client(context, {
    token_url,
    scopes: ["a", "b"],
    endpoint_params: { audience: "x", many: ["1", "2"] },
  });
  const all = await Promise.all([one.authorization(), one.authorization(), one.authorization()]);
  assert.deepEqual(all, Array(3).fill({ authorization: "Bearer t1" }));
  assert.deepEqual(await one.authorization(), { authorization: "Bearer t1" });
  assert.equal(asked.length, 1);
  // RFC 6749, 2.3.1: encoded before they are joined.
  const basic = Buffer.from("me%3A1:s%26c").toString("base64");
  assert.equal(asked[0]?.headers.authorization, `Basic ${basic}`);
  assert.equal(
    asked[0]?.form.toString(),
    "grant_type=client_credentials&scope=a+b&audience=x&many=1&many=2",
  );
});

test("a token that is about to end is replaced", async (context) => {
  const { token_url } = await tokenServer(context, (_, count) => [200, token(`t${count}`, 0)]);
  const one = await client(context, { token_url });
  assert.deepEqual(await one.authorization(), { authorization: "Bearer t1" });
  assert.deepEqual(await one.authorization(), { authorization: "Bearer t2" });
});

test("credentials go into the body where the header is not taken, and stay there", async (context) => {
  const { asked, token_url } = await tokenServer(context, ({ headers }, count) =>
    headers.authorization === undefined ? [200, token(`t${count}`, 0)] : [401, "{}"],
  );
  const one = await client(context, { token_url });
  assert.deepEqual(await one.authorization(), { authorization: "Bearer t2" });
  assert.equal(asked[1]?.form.get("client_secret"), "s&c");
  assert.deepEqual(await one.authorization(), { authorization: "Bearer t3" });
});

test("no token is an error that says whether to try again, and never the secret", async (context) => {
  for (const [status, body, retryable] of [
    [401, "{}", false],
    [503, "", true],
    [200, "no json", true],
  ] as const) {
    const { token_url } = await tokenServer(context, () => [status, body]);
    const one = await client(context, { token_url });
    await assert.rejects(one.authorization(), (error) => {
      assert.ok(error instanceof AgentError);
      assert.equal(error.retryable, retryable);
      assert.doesNotMatch(error.message, /s&c/);
      return true;
    });
  }
});

test("what is missing is said", () => {
  const problems =
    configSchema
      .safeParse({})
      .error?.issues.map(({ message }) => message)
      .join() ?? "";
  assert.match(problems, /no ClientID provided.*no ClientSecret provided.*no TokenURL provided/);
});
