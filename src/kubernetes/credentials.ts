// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { isIPv6 } from "node:net";
import { dirname, isAbsolute, join } from "node:path";
import { parse } from "yaml";
import { AgentError, messageOf } from "../component/errors.ts";
import { type JsonObject, listOf, objectOf, textOf } from "./json.ts";

const SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
/** Mounted tokens are renewed by the kubelet; client-go reads them again as often. */
const TOKEN_AGE_MAX_MS = 60_000;

export type AuthType = "serviceAccount" | "kubeConfig";

/** What the process knows of its surroundings; tests give their own. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly readFile: (path: string) => string;
  readonly nowMs: () => number;
}

export const PROCESS_SURROUNDINGS: Surroundings = {
  env: process.env,
  readFile: (path) => readFileSync(path, "utf8"),
  nowMs: () => performance.now(),
};

/** Where the API server is and how we show who we are. */
export interface ClusterAccess {
  /** `https://host:port`, maybe with a path, without a slash at the end. */
  readonly server: string;
  readonly ca: string | undefined;
  readonly clientCertificate: string | undefined;
  readonly clientKey: string | undefined;
  readonly serverName: string | undefined;
  readonly skipsVerify: boolean;
  /** The header's value now, or undefined. `isRefused` after a 401: a file is read again at once. */
  authorization(isRefused?: boolean): string | undefined;
}

export interface AccessOptions {
  readonly authType: AuthType;
  /** Of the kubeconfig; empty is its current one. */
  readonly context: string;
}

/** Throws an AgentError (BS_START) that says what is missing. */
export function clusterAccess(
  { authType, context }: AccessOptions,
  surroundings: Surroundings = PROCESS_SURROUNDINGS,
): ClusterAccess {
  if (authType === "kubeConfig") return fromKubeConfig(context, surroundings);
  const server = serverOfEnvironment(surroundings);
  const ca = fileText(`${SERVICE_ACCOUNT}/ca.crt`, "the service account's CA", surroundings);
  const authorization = bearerOfFile(`${SERVICE_ACCOUNT}/token`, surroundings);
  authorization();
  return {
    server,
    ca,
    clientCertificate: undefined,
    clientKey: undefined,
    serverName: undefined,
    skipsVerify: false,
    authorization,
  };
}

function serverOfEnvironment({ env }: Surroundings): string {
  const host = env["KUBERNETES_SERVICE_HOST"] ?? "";
  const port = env["KUBERNETES_SERVICE_PORT"] ?? "";
  if (host === "" || port === "") {
    throw problem(
      "auth_type serviceAccount: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set, " +
        "so this is no pod. Use auth_type: kubeConfig outside of the cluster",
    );
  }
  return `https://${isIPv6(host) ? `[${host}]` : host}:${port}`;
}

/** Reads the token again when it is a minute old, or was refused. */
function bearerOfFile(
  path: string,
  surroundings: Surroundings,
): (isRefused?: boolean) => string | undefined {
  let header: string | undefined;
  let readMs = 0;
  return (isRefused = false) => {
    const nowMs = surroundings.nowMs();
    if (header === undefined || isRefused || nowMs - readMs >= TOKEN_AGE_MAX_MS) {
      header = `Bearer ${fileText(path, "the token", surroundings).trim()}`;
      readMs = nowMs;
    }
    return header;
  };
}

function fromKubeConfig(wanted: string, surroundings: Surroundings): ClusterAccess {
  const path = kubeConfigPath(surroundings);
  const root = parseKubeConfig(path, surroundings);
  const contextName = wanted === "" ? textOf(root["current-context"]) : wanted;
  const context = objectOf(namedIn(root, { list: "contexts", name: contextName, path })["context"]);
  const clusterName = textOf(context["cluster"]);
  const cluster = objectOf(namedIn(root, { list: "clusters", name: clusterName, path })["cluster"]);
  const userName = textOf(context["user"]);
  const user =
    userName === "" ? {} : objectOf(namedIn(root, { list: "users", name: userName, path })["user"]);
  const server = textOf(cluster["server"]).replace(/\/+$/, "");
  if (!/^https?:\/\//.test(server)) {
    throw problem(`${path}: cluster ${clusterName} has no server. Write https://host:port`);
  }
  const material = (holder: JsonObject, key: string): string | undefined =>
    pemOf(holder, { key, folder: dirname(path), surroundings });
  return {
    server,
    ca: material(cluster, "certificate-authority"),
    clientCertificate: material(user, "client-certificate"),
    clientKey: material(user, "client-key"),
    serverName: textOf(cluster["tls-server-name"]) || undefined,
    skipsVerify: cluster["insecure-skip-tls-verify"] === true,
    authorization: authorizationOf(user, { path, surroundings }),
  };
}

/** The first file of KUBECONFIG's list, else `~/.kube/config`. */
function kubeConfigPath({ env }: Surroundings): string {
  const listed = (env["KUBECONFIG"] ?? "").split(":").find((path) => path !== "");
  return listed ?? join(env["HOME"] ?? "/", ".kube/config");
}

function parseKubeConfig(path: string, surroundings: Surroundings): JsonObject {
  const text = fileText(path, "the kubeconfig", surroundings);
  try {
    const parsed: unknown = parse(text);
    return objectOf(parsed);
  } catch (error) {
    throw problem(`${path}: no YAML: ${messageOf(error)}`);
  }
}

function namedIn(
  root: JsonObject,
  wanted: { readonly list: string; readonly name: string; readonly path: string },
): JsonObject {
  const entries = listOf(root[wanted.list]).map(objectOf);
  const found = entries.find((entry) => textOf(entry["name"]) === wanted.name);
  if (found !== undefined) return found;
  const names = entries.map((entry) => textOf(entry["name"])).join(", ");
  throw problem(
    `${wanted.path}: ${wanted.list} has no entry "${wanted.name}". It has: ${names || "none"}`,
  );
}

/** `KEY-data` in base64, or the file that `KEY` names, relative to the kubeconfig. */
function pemOf(
  holder: JsonObject,
  from: { readonly key: string; readonly folder: string; readonly surroundings: Surroundings },
): string | undefined {
  const data = textOf(holder[`${from.key}-data`]);
  if (data !== "") return Buffer.from(data, "base64").toString("utf8");
  const file = textOf(holder[from.key]);
  if (file === "") return undefined;
  const path = isAbsolute(file) ? file : join(from.folder, file);
  return fileText(path, from.key, from.surroundings);
}

function authorizationOf(
  user: JsonObject,
  { path, surroundings }: { readonly path: string; readonly surroundings: Surroundings },
): (isRefused?: boolean) => string | undefined {
  for (const key of ["exec", "auth-provider"]) {
    if (user[key] !== undefined) {
      throw problem(
        `${path}: the user logs in by ${key}, which is not supported. ` +
          "Use a token, a token file or a client certificate",
      );
    }
  }
  const file = textOf(user["tokenFile"]);
  if (file !== "") return bearerOfFile(file, surroundings);
  const token = textOf(user["token"]);
  if (token !== "") return () => `Bearer ${token}`;
  const name = textOf(user["username"]);
  if (name === "") return () => undefined;
  const basic = Buffer.from(`${name}:${textOf(user["password"])}`).toString("base64");
  return () => `Basic ${basic}`;
}

function fileText(path: string, what: string, { readFile }: Surroundings): string {
  try {
    return readFile(path);
  } catch (error) {
    throw problem(`cannot read ${what}: ${messageOf(error)}`);
  }
}

function problem(message: string): AgentError {
  return new AgentError("BS_START", message);
}
