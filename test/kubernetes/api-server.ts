// SPDX-License-Identifier: Apache-2.0
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { eventually } from "../support/eventually.ts";
import { freePorts } from "../support/proc-net.ts";
import { type RunningProcess, startProcess } from "../support/process.ts";

const ADMIN = "test-admin";

export interface ApiAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface ApiServer {
  readonly url: string;
  /** PEM of what signed the server's certificate. */
  readonly ca: string;
  /** A request as an administrator; the body is sent as JSON, a text as YAML to be applied. */
  call(method: string, path: string, body?: object | string): Promise<ApiAnswer>;
  /** A kubeconfig for one of the users. */
  kubeConfig(user: string): string;
  /** Kills the API server and starts it again on the same port; etcd stays. */
  restart(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Starts etcd and kube-apiserver on free ports of 127.0.0.1, with RBAC. Each of `users` has a token
 * of its own and no rights. Builds them when they are not in the cache: see README.md.
 */
export async function startApiServer(users: readonly string[]): Promise<ApiServer> {
  const build = join(import.meta.dirname, "build.sh");
  const binaries = (await promisify(execFile)(build)).stdout.trim();
  const folder = mkdtempSync(join(tmpdir(), "backstitch-kubernetes-"));
  const [etcdPort = 0, peerPort = 0, port = 0] = await freePorts(3);
  const key = join(folder, "accounts.key");
  execFileSync("openssl", ["genrsa", "-out", key, "2048"], { stdio: "ignore" });
  const tokens = users.map((user) => `token-${user},${user},${user}`);
  const tokenFile = join(folder, "tokens.csv");
  writeFileSync(tokenFile, [`${ADMIN},${ADMIN},${ADMIN},system:masters`, ...tokens].join("\n"));
  const etcdUrl = `http://127.0.0.1:${etcdPort}`;
  const peerUrl = `http://127.0.0.1:${peerPort}`;
  const etcd = await startProcess({
    command: join(binaries, "etcd"),
    args: [
      "--unsafe-no-fsync",
      `--data-dir=${join(folder, "etcd")}`,
      `--listen-client-urls=${etcdUrl}`,
      `--advertise-client-urls=${etcdUrl}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      `--initial-cluster=default=${peerUrl}`,
    ],
    readyPort: etcdPort,
  });
  const server = new Server({ binaries, folder, etcdUrl, port, key, tokenFile, etcd });
  try {
    await server.start();
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  return server;
}

interface Parts {
  readonly binaries: string;
  readonly folder: string;
  readonly etcdUrl: string;
  readonly port: number;
  readonly key: string;
  readonly tokenFile: string;
  readonly etcd: RunningProcess;
}

class Server implements ApiServer {
  readonly #parts: Parts;
  #process: RunningProcess | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get url(): string {
    return `https://127.0.0.1:${this.#parts.port}`;
  }

  get ca(): string {
    return readFileSync(join(this.#parts.folder, "apiserver.crt"), "utf8");
  }

  async start(): Promise<void> {
    const { binaries, folder, etcdUrl, port, key, tokenFile } = this.#parts;
    this.#process = await startProcess({
      command: join(binaries, "kube-apiserver"),
      args: [
        `--etcd-servers=${etcdUrl}`,
        "--bind-address=127.0.0.1",
        `--secure-port=${port}`,
        `--cert-dir=${folder}`,
        "--service-account-issuer=https://kubernetes.default.svc",
        `--service-account-key-file=${key}`,
        `--service-account-signing-key-file=${key}`,
        `--token-auth-file=${tokenFile}`,
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--disable-admission-plugins=ServiceAccount",
      ],
      readyPort: port,
      readyTimeoutMs: 60_000,
    });
    await eventually(
      async () => (await this.call("GET", "/readyz").catch(() => undefined))?.status,
      (status) => status === 200,
      60_000,
    );
  }

  call(method: string, path: string, body?: object | string): Promise<ApiAnswer> {
    const isYaml = typeof body === "string";
    const type = isYaml ? "application/apply-patch+yaml" : "application/json";
    return new Promise((resolve, reject) => {
      const sent = request(`${this.url}${path}`, {
        method,
        ca: this.ca,
        headers: { authorization: `Bearer ${ADMIN}`, "content-type": type },
      });
      sent.on("error", reject);
      sent.on("response", (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("error", reject).on("end", () => {
          resolve({
            status: response.statusCode ?? 0,
            body: text.startsWith("{") ? JSON.parse(text) : {},
          });
        });
      });
      sent.end(isYaml || body === undefined ? body : JSON.stringify(body));
    });
  }

  kubeConfig(user: string): string {
    const ca = Buffer.from(this.ca).toString("base64");
    return JSON.stringify({
      "current-context": "test",
      contexts: [{ name: "test", context: { cluster: "test", user } }],
      clusters: [{ name: "test", cluster: { server: this.url, "certificate-authority-data": ca } }],
      users: [{ name: user, user: { token: `token-${user}` } }],
    });
  }

  async restart(): Promise<void> {
    await this.#process?.stop({ signal: "SIGKILL" });
    await this.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process?.stop({ signal: "SIGKILL" });
    await this.#parts.etcd.stop({ signal: "SIGKILL" });
    rmSync(this.#parts.folder, { recursive: true, force: true });
  }
}
