// SPDX-License-Identifier: Apache-2.0
// An ordinary Node service with a bounded agent: requests beyond wait in the agent's queue.
//   node node.mjs --listen 127.0.0.1:0 [--downstream URL]... [--parallel URL]... [--connections N] [--redis HOST:PORT]
import http from "node:http";
import net from "node:net";
import { parseArgs } from "node:util";

const { values: options } = parseArgs({
  options: {
    listen: { type: "string", default: "127.0.0.1:0" },
    downstream: { type: "string", multiple: true, default: [] },
    parallel: { type: "string", multiple: true, default: [] },
    connections: { type: "string", default: "0" },
    redis: { type: "string", default: "" },
  },
});
const connections = Number(options.connections) || Number.POSITIVE_INFINITY;
const agent = new http.Agent({ keepAlive: true, maxSockets: connections });
const redis = { free: [], waiting: [], made: 0 };

function ask(base, id) {
  return new Promise((resolve, reject) => {
    const request = http.get(`${base}/${id}`, { agent }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode));
    });
    request.on("error", reject);
  });
}

function takeRedis() {
  if (redis.free.length > 0) return Promise.resolve(redis.free.shift());
  if (redis.made >= connections) return new Promise((resolve) => redis.waiting.push(resolve));
  redis.made += 1;
  const [host, port] = options.redis.split(":");
  return new Promise((resolve, reject) => {
    const socket = net.connect(Number(port), host, () => resolve(socket));
    socket.once("error", reject);
  });
}

async function lookUp(id) {
  const socket = await takeRedis();
  const key = `key:${id}`;
  const answered = new Promise((resolve) => socket.once("data", resolve));
  socket.write(`*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`);
  await answered;
  const next = redis.waiting.shift();
  if (next === undefined) redis.free.push(socket);
  else next(socket);
}

async function answer(request, response) {
  const id = request.url.slice(request.url.lastIndexOf("/") + 1);
  const statuses = [200];
  for (const base of options.downstream) statuses.push(await ask(base, id));
  statuses.push(...(await Promise.all(options.parallel.map((base) => ask(base, id)))));
  if (options.redis !== "") await lookUp(id);
  response.writeHead(Math.max(...statuses)).end(`${id}\n`);
}

const colon = options.listen.lastIndexOf(":");
const server = http.createServer((request, response) => {
  answer(request, response).catch((error) => {
    response.writeHead(502).end(String(error));
  });
});
server.keepAliveTimeout = 60_000;
server.listen(Number(options.listen.slice(colon + 1)), options.listen.slice(0, colon), 512);
process.once("SIGTERM", () => process.exit(0));
