// SPDX-License-Identifier: Apache-2.0
// An ordinary Node service: async/await, plain node:http, a keep-alive agent. Runs on Node 18.
//   node orders.mjs --listen 127.0.0.1:0 [--name orders] [--downstream URL]... [--parallel URL]...
// Calls each --downstream one after the other, then all --parallel at once. /VERB/ID is asked of
// each as /PREFIX/ID, PREFIX being the path of its URL; special verbs are passed on unchanged.
import http from "node:http";
import { parseArgs } from "node:util";

const { values: options } = parseArgs({
  options: {
    listen: { type: "string", default: "127.0.0.1:0" },
    name: { type: "string", default: "orders" },
    downstream: { type: "string", multiple: true, default: [] },
    parallel: { type: "string", multiple: true, default: [] },
  },
});
const agent = new http.Agent({ keepAlive: true });
const special = /^\/(fail|slow|chunked|empty|unchanged)\//;

/** The path of `base` in place of the first segment; special verbs stay as they are. */
function pathFor(base, incoming) {
  const prefix = base.pathname.replace(/\/$/, "");
  if (prefix === "" || special.test(incoming)) return incoming;
  return incoming.replace(/^\/[^/?]*/, () => prefix);
}

const bare = (host) => host.replace(/^\[|\]$/g, "");

function call(base, incoming, body) {
  const url = new URL(base);
  const target = { host: bare(url.hostname), port: url.port, path: pathFor(url, incoming.url) };
  const headers =
    body.length > 0 ? { "content-type": "application/json", "content-length": body.length } : {};
  return new Promise((resolve, reject) => {
    const request = http.request(
      { ...target, method: incoming.method, headers, agent },
      async (response) => {
        try {
          resolve({ status: response.statusCode, text: (await read(response)).toString() });
        } catch (error) {
          reject(error);
        }
      },
    );
    request.on("error", reject);
    request.end(body);
  });
}

async function read(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function own(incoming) {
  const url = new URL(incoming.url, "http://local");
  const verb = url.pathname.split("/")[1];
  if (verb === "slow")
    await new Promise((done) => setTimeout(done, Number(url.searchParams.get("ms") ?? 100)));
  return { status: { fail: 500, empty: 204, unchanged: 304 }[verb] ?? 200, text: "" };
}

async function answer(request, response) {
  const body = await read(request);
  const answers = [];
  for (const base of options.downstream) answers.push(await call(base, request, body));
  answers.push(...(await Promise.all(options.parallel.map((base) => call(base, request, body)))));
  if (answers.length === 0) answers.push(await own(request));
  const status = Math.max(...answers.map((one) => one.status));
  const text = `${JSON.stringify({ service: options.name, path: request.url, received: body.length, from: answers.map((one) => one.text) })}\n`;
  if (status === 204 || status === 304) {
    response.writeHead(status).end();
  } else if (request.url.startsWith("/chunked/")) {
    response.writeHead(status, { "content-type": "application/json" });
    response.write(text.slice(0, 10));
    setImmediate(() => response.end(text.slice(10)));
  } else {
    response
      .writeHead(status, {
        "content-type": "application/json",
        "content-length": Buffer.byteLength(text),
      })
      .end(text);
  }
}

const server = http.createServer((request, response) => {
  answer(request, response).catch((error) => {
    if (!response.headersSent) response.writeHead(502, { "content-type": "text/plain" });
    response.end(`${options.name}: ${error.message}\n`);
  });
});
server.keepAliveTimeout = 75_000;
const colon = options.listen.lastIndexOf(":");
server.listen(Number(options.listen.slice(colon + 1)), bare(options.listen.slice(0, colon)));
process.on("SIGTERM", () => process.exit(0));
