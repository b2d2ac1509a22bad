// SPDX-License-Identifier: Apache-2.0
// A server and a client over TLS in Node. The client opens connections, says "waiting", and asks
// when it is sent SIGUSR1: on these (early) or on new ones (late).
//   tls-session.mjs serve PORT CERTIFICATE KEY
//   tls-session.mjs call PORT early|late
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Agent, createServer, request } from "node:https";

const CONNECTIONS = 4;
const REQUESTS = 40;
const [role, port, ...rest] = process.argv.slice(2);

function serve(certificate, key) {
  const files = { cert: readFileSync(certificate), key: readFileSync(key) };
  const server = createServer(files, (asked, answer) => {
    setTimeout(() => answer.end(`you asked for ${asked.url}\n`), 2);
  });
  server.keepAliveTimeout = 60_000;
  server.listen(Number(port), "127.0.0.1");
}

async function ask(agent, path) {
  const options = { host: "127.0.0.1", port, path, agent, rejectUnauthorized: false };
  const [response] = await once(request(options).end(), "response");
  for await (const _ of response);
}

async function call(when) {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const paths = Array.from({ length: REQUESTS }, (_, index) => `/node/${index}`);
  if (when === "early") {
    await Promise.all(paths.slice(0, CONNECTIONS).map(() => ask(agent, "/early")));
  }
  const told = once(process, "SIGUSR1");
  const alive = setInterval(() => undefined, 1000);
  console.log("waiting");
  await told;
  clearInterval(alive);
  await Promise.all(paths.map((path) => ask(agent, path)));
  console.log("done");
  setInterval(() => undefined, 1000);
}

if (role === "serve") serve(...rest);
else await call(...rest);
