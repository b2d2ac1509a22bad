// SPDX-License-Identifier: Apache-2.0
// HTTP/2 in clear text: a server, and a client that runs a script when SIGUSR1 comes.
// usage: http2-session.mjs serve|call PORT
import { once } from "node:events";
import http2 from "node:http2";
import { setTimeout as delay } from "node:timers/promises";

const [mode, port] = process.argv.slice(2);
const TOGETHER = 100;
const LARGE_BYTES = 300_000;

const waiting = [];

/** Answers only when all are there. */
function answerTogether(stream) {
  waiting.push(stream);
  if (waiting.length < TOGETHER) return;
  for (const one of waiting.splice(0)) {
    one.respond({ ":status": 200 });
    one.end("ok");
  }
}

function serve(stream, headers) {
  const path = headers[":path"];
  stream.on("error", () => undefined);
  if (path === "/never") return;
  if (path.startsWith("/together/")) {
    answerTogether(stream);
    return;
  }
  if (path === "/early") stream.additionalHeaders({ ":status": 103 });
  if (path === "/trailers") {
    stream.respond({ ":status": 200 }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "x-sum": "1" }));
    stream.end("with trailers");
    return;
  }
  if (headers[":method"] === "POST") {
    stream.resume().on("end", () => {
      stream.respond({ ":status": 201 });
      stream.end();
    });
    return;
  }
  stream.respond({ ":status": path.startsWith("/fail/") ? 500 : 200 });
  stream.end(path === "/large" ? Buffer.alloc(LARGE_BYTES, "x") : "answer");
}

async function ask(session, headers, body) {
  const stream = session.request(headers, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  stream.resume();
  await once(stream, "close");
}

async function call() {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  await ask(session, { ":path": "/orders/17?secret=1" });
  await ask(session, { ":path": "/orders", ":method": "POST" }, "x".repeat(3000));
  await ask(session, { ":path": "/early" });
  await ask(session, { ":path": "/trailers" });
  await ask(session, { ":path": "/fail/5" });
  await ask(session, { ":path": "/orders/17", ":method": "HEAD" });
  const never = session.request({ ":path": "/never" });
  never.on("error", () => undefined);
  await delay(100);
  never.close(http2.constants.NGHTTP2_CANCEL);
  await once(never, "close");
  const numbers = Array.from({ length: TOGETHER }, (_, index) => index);
  await Promise.all(numbers.map((number) => ask(session, { ":path": `/together/${number}` })));
  await ask(session, { ":path": "/large" });
  session.close();
  await once(session, "close");
}

if (mode === "serve") {
  const server = http2.createServer();
  server.on("stream", serve);
  server.listen(Number(port), "127.0.0.1");
} else {
  // Keeps the process until it is told to start.
  const keep = setInterval(() => undefined, 1000);
  process.once("SIGUSR1", async () => {
    await call();
    console.log("done");
    clearInterval(keep);
  });
  console.log("waiting");
}
