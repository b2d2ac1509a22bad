// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { prepareNginx } from "../../apps/nginx.ts";
import { runLoad } from "../../support/load.ts";
import { freePorts } from "../../support/proc-net.ts";
import { type RunningProcess, startProcess } from "../../support/process.ts";
import { buildStock, orders, prices, stock } from "../../support/services.ts";

const LOCAL = "127.0.0.1:0";
const running: RunningProcess[] = [];
const directory = mkdtempSync(join(tmpdir(), "services-"));
/** Where the chain nginx -> orders -> prices -> stock is asked, and each service alone. */
const port = { nginx: 0, orders: 0, prices: 0, stock: 0, fanOut: 0 };

async function start(options: Parameters<typeof startProcess>[0]): Promise<number> {
  const child = await startProcess(options);
  running.push(child);
  return child.port;
}

before(async () => {
  const at = (number: number, path = "") => `http://127.0.0.1:${number}${path}`;
  port.stock = await start(stock({ listen: LOCAL }, await buildStock()));
  port.prices = await start(prices({ listen: LOCAL, downstream: [at(port.stock, "/stock")] }));
  port.orders = await start(orders({ listen: LOCAL, downstream: [at(port.prices, "/price")] }));
  const stocks = ["/a", "/b", "/c", "/d"].map((path) => at(port.stock, path));
  port.fanOut = await start(
    orders({ listen: "[::1]:0", downstream: stocks.slice(0, 2), parallel: stocks.slice(2) }),
  );
  const [nginxPort = 0] = await freePorts(1);
  const upstream = `127.0.0.1:${port.orders}`;
  const nginx = prepareNginx({ directory, listen: [`127.0.0.1:${nginxPort}`], upstream });
  port.nginx = await start({ ...nginx, readyPort: nginxPort });
});

after(async () => {
  for (const one of running.reverse()) await one.stop();
  rmSync(directory, { recursive: true, force: true });
});

interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly text: string;
}

function ask(target: number, path: string, method = "GET", body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const host = target === port.fanOut ? "::1" : "127.0.0.1";
    const sending = request(
      { host, port: target, path, method, agent: false },
      async (response) => {
        let text = "";
        for await (const chunk of response.setEncoding("utf8")) text += chunk;
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text });
      },
    );
    sending.once("error", reject).end(body);
  });
}

test("the chain carries the id to its end under each service's own path", async () => {
  const { status, text } = await ask(port.nginx, "/order/123?coupon=x");
  assert.equal(status, 200);
  for (const path of ["/order/123", "/price/123", "/stock/123"])
    assert.ok(text.includes(path), path);
});

test("a body that is posted reaches the end of the chain", async () => {
  const { status, text } = await ask(port.nginx, "/order/5", "POST", JSON.stringify({ many: 3 }));
  assert.equal(status, 200);
  assert.equal(text.match(/received[^:]*: ?10/g)?.length, 3);
});

test("every service answers failures, no content, not modified and HEAD", async () => {
  for (const target of [port.stock, port.prices, port.orders, port.nginx]) {
    assert.equal((await ask(target, "/fail/1")).status, 500);
    assert.equal((await ask(target, "/empty/1")).status, 204);
    assert.equal((await ask(target, "/unchanged/1")).status, 304);
    const head = await ask(target, "/order/1", "HEAD");
    assert.deepEqual([head.status, head.text], [200, ""]);
  }
});

test("every service answers in chunks where asked, and else with a length", async () => {
  for (const target of [port.stock, port.prices, port.orders, port.nginx]) {
    const chunked = await ask(target, "/chunked/1");
    assert.equal(chunked.headers["transfer-encoding"], "chunked");
    assert.match(chunked.text, /chunked\/1.*\n$/s);
    assert.ok(Number((await ask(target, "/order/1")).headers["content-length"]) > 10);
  }
});

test("a slow request takes as long as it was asked to", async () => {
  const startMs = performance.now();
  assert.equal((await ask(port.nginx, "/slow/1?ms=150")).status, 200);
  assert.ok(performance.now() - startMs >= 149);
});

test("the fan-out asks all four of its downstreams", async () => {
  const { text } = await ask(port.fanOut, "/order/9");
  for (const path of ["/a/9", "/b/9", "/c/9", "/d/9"]) assert.ok(text.includes(path), path);
});

test("the chain answers 50 concurrent clients, kept alive or not", async () => {
  for (const keepAlive of [true, false]) {
    const { statuses, errors } = await runLoad({
      ...{ host: "127.0.0.1", port: port.nginx, paths: ["/order/{id}"], keepAlive },
      ...{ requests: 200, concurrency: 50 },
    });
    assert.deepEqual({ statuses, errors }, { statuses: { 200: 200 }, errors: {} });
  }
});

test("a load against nobody ends with errors, not with a wait", async () => {
  const [nobody = 0] = await freePorts(1);
  const { statuses, errors } = await runLoad({
    ...{ host: "127.0.0.1", port: nobody, paths: ["/order/{id}"], requests: 4, concurrency: 2 },
  });
  assert.deepEqual(statuses, {});
  assert.equal(
    Object.values(errors).reduce((sum, count) => sum + count, 0),
    4,
  );
});
