// SPDX-License-Identifier: Apache-2.0
// nginx asks PHP by FastCGI.
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { FASTCGI } from "../../src/protocols/fastcgi/protocol.ts";
import { startTestAgent } from "../support/agent.ts";
import { callLines, updateCallGoldens } from "../support/call-recorder.ts";
import { freePorts } from "../support/proc-net.ts";
import { startProcess } from "../support/process.ts";
import { startRecordingProxy } from "../support/recording-proxy.ts";

const SCRIPT = `<?php
if (str_starts_with($_SERVER["REQUEST_URI"], "/missing")) { http_response_code(404); }
if (str_starts_with($_SERVER["REQUEST_URI"], "/broken")) { http_response_code(500); }
header("Content-Type: text/plain");
echo strlen(file_get_contents("php://input")), str_repeat("x", 3000);
`;

function nginxConfig(folder: string, port: number, upstreamPort: number): string {
  return `daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log stderr error;
events { worker_connections 64; }
http {
  access_log off;
${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `  ${name}_temp_path ${folder}/${name};`).join("\n")}
  upstream php { server 127.0.0.1:${upstreamPort}; keepalive 4; }
  server {
    listen 127.0.0.1:${port};
    location / {
      include /etc/nginx/fastcgi_params;
      fastcgi_param SCRIPT_FILENAME ${folder}/shop.php;
      fastcgi_pass php;
      fastcgi_keep_conn on;
    }
  }
}
`;
}

const DONE = [
  ["GET", "/order/17", 200],
  ["POST", "/order", 200],
  ["GET", "/missing", 404],
  ["GET", "/broken", 500],
] as const;

test("requests that nginx hands to PHP are seen at either end, and through the agent", async () => {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-fastcgi-"));
  chmodSync(folder, 0o755);
  writeFileSync(join(folder, "shop.php"), SCRIPT);
  const [phpPort = 0, port = 0] = await freePorts(2);
  await using php = await startProcess({
    command: "php-cgi",
    args: ["-b", `127.0.0.1:${phpPort}`, "-d", "cgi.fix_pathinfo=0"],
    env: { PHP_FCGI_CHILDREN: undefined },
    readyPort: phpPort,
  });
  await using proxy = await startRecordingProxy(phpPort);
  writeFileSync(join(folder, "nginx.conf"), nginxConfig(folder, port, proxy.port));
  await using _nginx = await startProcess({
    command: "/usr/sbin/nginx",
    args: ["-p", folder, "-c", join(folder, "nginx.conf")],
    readyPort: port,
  });
  await using agent = await startTestAgent({ targets: `[{pids: [${php.pid}], name: shop}]` });
  for (const [method, path, status] of DONE) {
    const body = method === "POST" ? { body: "y".repeat(12_000) } : {};
    const response = await fetch(`http://127.0.0.1:${port}${path}?token=secret`, {
      method,
      ...body,
    });
    assert.equal(response.status, status);
    assert.match(await response.text(), /^\d+x{3000}$/);
  }
  updateCallGoldens(FASTCGI, proxy, "nginx and PHP");
  const shown = (line: string): string =>
    ["request.method", "response.status_code"]
      .map((key) => new RegExp(` http\\.${key}=(\\S+)`).exec(line)?.[1])
      .concat(/ url\.path=(\S+)/.exec(line)?.[1])
      .join(" ");
  const expected = DONE.map(([method, path, status]) => `${method} ${status} ${path}`);
  for (const role of ["client", "server"] as const) {
    const lines = callLines(FASTCGI, proxy, role).flat();
    assert.deepEqual(lines.map(shown), expected);
    assert.ok(!lines.join().includes("secret"));
  }
  const spans = await agent.spansWhen(DONE.length);
  assert.deepEqual(spans.map(({ kind, name }) => `${kind} ${name}`).sort(), [
    "server GET /broken",
    "server GET /missing",
    "server GET /order/{id}",
    "server POST /order",
  ]);
  rmSync(folder, { recursive: true, force: true });
});
