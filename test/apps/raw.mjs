// SPDX-License-Identifier: Apache-2.0
// A TCP server without a protocol: reads whatever comes and never fails on it. A request whose
// path holds a query `then=` says what to do with the connection:
//   reply=BASE64URL  write these very bytes      then=fin|rst|hold|die   and then (default hold)
//   node raw.mjs --listen 127.0.0.1:0
import net from "node:net";
import { parseArgs } from "node:util";

const { values: options } = parseArgs({
  options: { listen: { type: "string", default: "127.0.0.1:0" } },
});

function finish(socket, then) {
  if (then === "fin") socket.end();
  else if (then === "rst") socket.resetAndDestroy();
  else if (then === "die") process.kill(process.pid, "SIGKILL");
}

const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
  let text = "";
  socket.setEncoding("latin1").on("data", (part) => {
    text = (text + part).slice(-65_536);
    const match = /[?&](?:reply=([\w-]*)&)?then=(\w+) HTTP/.exec(text);
    if (match === null) return;
    text = text.slice(match.index + match[0].length);
    const [, reply = "", then] = match;
    const bytes = Buffer.from(reply, "base64url");
    if (bytes.length > 0) socket.write(bytes, () => finish(socket, then));
    else finish(socket, then);
  });
  socket.on("end", () => socket.end());
  socket.on("error", () => socket.destroy());
});
const colon = options.listen.lastIndexOf(":");
server.listen(Number(options.listen.slice(colon + 1)), options.listen.slice(0, colon));
process.on("SIGTERM", () => process.exit(0));
