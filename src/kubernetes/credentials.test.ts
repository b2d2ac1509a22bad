// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { AgentError } from "../component/errors.ts";
import { ApiClient, ApiStatusError } from "./api-client.ts";
import { clusterAccess, type Surroundings } from "./credentials.ts";
import { ScriptedApi } from "./testing/scripted-api.ts";

const FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount";
const IN_POD = { KUBERNETES_SERVICE_HOST: "10.96.0.1", KUBERNETES_SERVICE_PORT: "443" };

interface World extends Surroundings {
  nowMs: () => number;
}

function world(env: Surroundings["env"], files: Record<string, string>): World {
  return {
    env,
    nowMs: () => 0,
    readFile: (path) => {
      const text = files[path];
      if (text === undefined) throw new Error(`ENOENT: no such file or directory, open '${path}'`);
      return text;
    },
  };
}

test("in a pod the token is read again after a minute, and at once when it is refused", () => {
  const files = { [`${FOLDER}/token`]: "one\n", [`${FOLDER}/ca.crt`]: "CA" };
  const surroundings = world(IN_POD, files);
  const access = clusterAccess({ authType: "serviceAccount", context: "" }, surroundings);
  assert.equal(access.server, "https://10.96.0.1:443");
  assert.equal(access.ca, "CA");
  assert.equal(access.skipsVerify, false);
  files[`${FOLDER}/token`] = "two\n";
  surroundings.nowMs = () => 59_999;
  assert.equal(access.authorization(), "Bearer one");
  surroundings.nowMs = () => 60_000;
  assert.equal(access.authorization(), "Bearer two");
  files[`${FOLDER}/token`] = "three\n";
  assert.equal(access.authorization(), "Bearer two");
  assert.equal(access.authorization(true), "Bearer three");
});

test("outside of a pod, serviceAccount says what to use", () => {
  assert.throws(
    () => clusterAccess({ authType: "serviceAccount", context: "" }, world({}, {})),
    (error) =>
      error instanceof AgentError &&
      error.code === "BS_START" &&
      /KUBERNETES_SERVICE_HOST.*not set.*auth_type: kubeConfig/.test(error.message),
  );
});

test("an IPv6 address of the API server stands in brackets", () => {
  const env = { KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "6443" };
  const files = { [`${FOLDER}/token`]: "t", [`${FOLDER}/ca.crt`]: "CA" };
  const access = clusterAccess({ authType: "serviceAccount", context: "" }, world(env, files));
  assert.equal(access.server, "https://[fd00::1]:6443");
});

const KUBECONFIG = `
current-context: dev
contexts:
- {name: dev, context: {cluster: near, user: token}}
- {name: prod, context: {cluster: far, user: cert}}
- {name: cloud, context: {cluster: far, user: cloud}}
clusters:
- {name: near, cluster: {server: "https://127.0.0.1:6443/", certificate-authority: ca.pem}}
- {name: far, cluster: {server: "https://k8s:6443/proxy", tls-server-name: kubernetes,
    certificate-authority-data: ${Buffer.from("FAR CA").toString("base64")}}}
users:
- {name: token, user: {tokenFile: /run/token}}
- {name: cert, user: {client-certificate: /certs/me.crt,
    client-key-data: ${Buffer.from("KEY").toString("base64")}}}
- {name: cloud, user: {exec: {command: aws}}}
`;
const FILES = {
  "/home/me/.kube/config": KUBECONFIG,
  "/home/me/.kube/ca.pem": "NEAR CA",
  "/certs/me.crt": "CERT",
  "/run/token": "from a file",
};

test("a kubeconfig gives its current context, files beside it and a token's file", () => {
  const surroundings = world({ HOME: "/home/me" }, FILES);
  const access = clusterAccess({ authType: "kubeConfig", context: "" }, surroundings);
  assert.equal(access.server, "https://127.0.0.1:6443");
  assert.equal(access.ca, "NEAR CA");
  assert.equal(access.authorization(), "Bearer from a file");
});

test("a named context of a kubeconfig gives its certificate and key", () => {
  const env = { KUBECONFIG: "/home/me/.kube/config:/else" };
  const access = clusterAccess({ authType: "kubeConfig", context: "prod" }, world(env, FILES));
  assert.equal(access.server, "https://k8s:6443/proxy");
  assert.equal(access.serverName, "kubernetes");
  assert.deepEqual(
    [access.ca, access.clientCertificate, access.clientKey, access.authorization()],
    ["FAR CA", "CERT", "KEY", undefined],
  );
});

test("what a kubeconfig lacks, and what we cannot do, is said with the file", () => {
  const cases = [
    ["no-such", /config: contexts has no entry "no-such"\. It has: dev, prod, cloud/],
    ["cloud", /logs in by exec, which is not supported/],
  ] as const;
  for (const [context, message] of cases) {
    const surroundings = world({ HOME: "/home/me" }, FILES);
    assert.throws(() => clusterAccess({ authType: "kubeConfig", context }, surroundings), message);
  }
});

test("a refused token is read again and the request repeated; twice refused is an error", async (context) => {
  const api = await ScriptedApi.start();
  context.after(() => api.stop());
  const files: Record<string, string> = { "/run/token": "old" };
  const config = JSON.parse(api.kubeConfig);
  config.users = [{ name: "u", user: { tokenFile: "/run/token" } }];
  files["/config"] = JSON.stringify(config);
  const surroundings = world({ KUBECONFIG: "/config" }, files);
  const access = clusterAccess({ authType: "kubeConfig", context: "" }, surroundings);
  const client = new ApiClient(access);
  context.after(() => client.close());
  const { signal } = new AbortController();
  const request = { path: "/api/v1/pods", accept: "application/json", signal };
  api.credentials.add("Bearer old");
  await client.json(request);
  files["/run/token"] = "new";
  api.credentials.clear();
  api.credentials.add("Bearer new");
  await client.json(request);
  assert.deepEqual(
    api.asked.map(({ authorization }) => authorization),
    ["Bearer old", "Bearer old", "Bearer new"],
  );
  api.credentials.clear();
  api.credentials.add("Bearer other");
  await assert.rejects(
    client.json(request),
    (error) => error instanceof ApiStatusError && error.status === 401,
  );
});
