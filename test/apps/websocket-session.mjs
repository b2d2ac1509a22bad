// SPDX-License-Identifier: Apache-2.0
// A WebSocket session of Node's own client, with a scripted server: there is none in Node.
// usage: websocket-session.mjs serve|call PORT
import { createHash } from "node:crypto";
import { once } from "node:events";
import http from "node:http";

const [mode, port] = process.argv.slice(2);
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const CLOSE = 8;

function frame(opcode, payload) {
  const { length } = payload;
  const head = length < 126 ? [length] : [126, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([0x80 | opcode, ...head]), payload]);
}

/** Sends every masked frame back without its mask; takes the Close frame for the end. */
function echo(socket) {
  let held = Buffer.alloc(0);
  socket.on("error", () => undefined);
  socket.on("data", (chunk) => {
    held = Buffer.concat([held, chunk]);
    for (;;) {
      if (held.length < 6) return;
      const short = held[1] & 0x7f;
      const start = short === 126 ? 8 : 6;
      if (held.length < start) return;
      const length = short === 126 ? held.readUInt16BE(2) : short;
      if (held.length < start + length) return;
      const opcode = held[0] & 15;
      const key = held.subarray(start - 4, start);
      const payload = held.subarray(start, start + length).map((byte, at) => byte ^ key[at % 4]);
      socket.write(frame(opcode, Buffer.from(payload)));
      held = held.subarray(start + length);
      if (opcode === CLOSE) socket.end();
    }
  });
}

function serve() {
  const server = http.createServer();
  server.on("upgrade", (request, socket) => {
    const key = request.headers["sec-websocket-key"];
    const accept = createHash("sha1").update(`${key}${GUID}`).digest("base64");
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    echo(socket);
  });
  server.listen(Number(port), "127.0.0.1");
}

async function call() {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/chat/17`);
  await once(socket, "open");
  for (const text of ["hello", "x".repeat(20_000), "bye"]) {
    socket.send(text);
    await once(socket, "message");
  }
  socket.close(1000);
  await once(socket, "close");
}

if (mode === "serve") serve();
else {
  const keep = setInterval(() => undefined, 1000);
  process.once("SIGUSR1", async () => {
    await call();
    console.log("done");
    clearInterval(keep);
  });
  console.log("waiting");
}
