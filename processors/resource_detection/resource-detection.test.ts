// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type TestContext, test } from "node:test";
import { Subject } from "rxjs";
import type { Batch } from "../../src/model/batch.ts";
import { fromOtlpJson } from "../../src/pdata/json-decode.ts";
import { toOtlpJson } from "../../src/pdata/json-encode.ts";
import { REQUESTS } from "../../src/pdata/requests.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { configSchema } from "./config.ts";
import { createResourceDetectionProcessor } from "./resource-detection.ts";
import { processWorld, type World } from "./world.ts";

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** A metadata server on this machine; gives its URL. */
async function metadata(context: TestContext, answer: Answer): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => server.close());
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return `http://127.0.0.1:${address.port}`;
}

function worldOf(parts: {
  readonly env?: World["env"];
  readonly files?: Readonly<Record<string, string>>;
  readonly url?: string;
}): World {
  const { env = {}, files = {}, url = "http://127.0.0.1:1" } = parts;
  return {
    ...processWorld(),
    env,
    readFile: (path) => {
      const text = files[path];
      if (text === undefined) throw new Error(`no ${path}`);
      return text;
    },
    fullHostName: async () => "node-7.example.com",
    metadata: { aws: url, gcp: url, azure: url },
  };
}

interface Run {
  readonly resource: Readonly<Record<string, unknown>>;
  readonly warnings: readonly string[];
}

/** Starts the processor and sends one resource with `given` through it. */
async function run(body: object, world: World, given: Record<string, string> = {}): Promise<Run> {
  const memory = createMemoryTelemetry();
  const processor = createResourceDetectionProcessor(
    {
      id: "resource_detection",
      telemetry: memory.telemetry,
      buildInfo: { version: "0" },
      signal: "logs",
      pipelineId: "logs",
    },
    configSchema.parse({ timeout: "300ms", ...body }),
    world,
  );
  try {
    await processor.start({ extension: () => undefined, fatal: () => undefined });
  } finally {
    await processor.shutdown(AbortSignal.timeout(1_000));
  }
  const input = new Subject<Batch>();
  const out: Batch[] = [];
  processor.process(input).subscribe((batch) => out.push(batch));
  input.next(batchOf(given));
  const decoded = toOtlpJson(REQUESTS.logs.request, Buffer.concat(out[0]?.chunks ?? []));
  assert.ok(decoded.ok);
  const [first] = JSON.parse(decoded.json).resourceLogs;
  const attributes: readonly Attribute[] = first.resource?.attributes ?? [];
  return {
    resource: Object.fromEntries(attributes.map(({ key, value }) => [key, plain(value)])),
    warnings: memory.lines.map(({ fields }) => `${fields["detector"]}: ${fields["error"]}`),
  };
}

interface Attribute {
  readonly key: string;
  readonly value: {
    readonly stringValue?: string;
    readonly intValue?: string;
    readonly arrayValue?: { readonly values: readonly { readonly stringValue: string }[] };
  };
}

function plain(value: Attribute["value"]): unknown {
  if (value.arrayValue !== undefined) return value.arrayValue.values.map((one) => one.stringValue);
  return value.stringValue ?? Number(value.intValue);
}

function batchOf(given: Record<string, string>): Batch {
  const attributes = Object.entries(given).map(([key, stringValue]) => ({
    key,
    value: { stringValue },
  }));
  const scopeLogs = [{ logRecords: [{ severityText: "x" }] }];
  const request = { resourceLogs: [{ resource: { attributes }, scopeLogs }] };
  const encoded = fromOtlpJson(REQUESTS.logs.request, JSON.stringify(request));
  assert.ok(encoded.ok);
  const { bytes } = encoded;
  return { signal: "logs", chunks: [bytes], items: 1, bytes: bytes.length };
}

test("env gives what the environment says, percent-decoded", async () => {
  const env = { OTEL_RESOURCE_ATTRIBUTES: "team=a%20b, zone = z1", OTEL_SERVICE_NAME: "cart" };
  const { resource } = await run({}, worldOf({ env }));
  assert.deepEqual(resource, { team: "a b", zone: "z1", "service.name": "cart" });
});

test("of one attribute the first detector counts, and override decides about the resource's", async () => {
  const world = worldOf({ env: { OTEL_RESOURCE_ATTRIBUTES: "host.name=mine" } });
  const detectors = ["env", "system"];
  const given = { "host.name": "given" };
  const replaced = await run({ detectors }, world, given);
  assert.deepEqual(replaced.resource, { "host.name": "mine", "os.type": "linux" });
  const kept = await run({ detectors, override: false }, world, given);
  assert.deepEqual(kept.resource, { "host.name": "given", "os.type": "linux" });
  const few = await run({ detectors, attributes: ["os.type"] }, world);
  assert.deepEqual(few.resource, { "os.type": "linux" });
});

test("host and os read the machine, and switches add and take away", async () => {
  const files = {
    "/etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "/etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nNAME=Debian\nVERSION_ID="13"\n',
    "/proc/sys/kernel/osrelease": "6.12.0\n",
  };
  const resource_attributes = { "host.arch": { enabled: false }, "os.build_id": { enabled: true } };
  const system = { hostname_sources: ["dns"], resource_attributes };
  const { resource } = await run({ detectors: ["host", "os"], system }, worldOf({ files }));
  const description = String(resource["os.description"]);
  assert.match(description, /^Debian GNU\/Linux 13 \(trixie\) \(Linux /);
  assert.deepEqual(resource, {
    "host.name": "node-7.example.com",
    "host.id": "0123456789abcdef0123456789abcdef",
    "os.type": "linux",
    "os.description": description,
    "os.name": "Debian",
    "os.version": "13",
    "os.build_id": "6.12.0",
  });
});

test("process is the agent's own", async () => {
  const { resource } = await run({ detectors: ["process"] }, worldOf({}));
  assert.equal(resource["process.pid"], process.pid);
  assert.equal(resource["process.runtime.name"], "nodejs");
});

test("container finds its id in cgroups of every kind and in the mounts", async () => {
  const id = "c".repeat(64);
  const cgroups = [
    `0::/system.slice/docker-${id}.scope\n`,
    `12:memory:/docker/${id}\n11:cpu:/docker/${id}\n`,
    `0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-${id}.scope\n`,
    `0::/kubepods/besteffort/pod1/${id}\n`,
    `0::/machine.slice/libpod-${id}.scope/container\n`,
  ];
  for (const cgroup of cgroups) {
    const world = worldOf({ files: { "/proc/self/cgroup": cgroup } });
    assert.deepEqual((await run({ detectors: ["container"] }, world)).resource, {
      "container.id": id,
    });
  }
  const mountinfo = `1 2 0:1 /var/lib/docker/containers/${id}/hostname /etc/hostname rw - ext4 x rw\n`;
  const files = { "/proc/self/cgroup": "0::/\n", "/proc/self/mountinfo": mountinfo };
  const mounted = await run({ detectors: ["container"] }, worldOf({ files }));
  assert.deepEqual(mounted.resource, { "container.id": id });
  const none = await run({ detectors: ["container"] }, worldOf({}));
  assert.deepEqual(none.resource, {});
  assert.deepEqual(none.warnings, ["container: the agent does not run in a container"]);
});

const EC2_DOCUMENT = {
  region: "eu-central-1",
  accountId: "123456789012",
  availabilityZone: "eu-central-1a",
  instanceId: "i-0abc",
  imageId: "ami-1",
  instanceType: "m5.xlarge",
};

/** IMDSv2: a token first, then everything with it. */
const ec2: Answer = (request, response) => {
  const bodies: Readonly<Record<string, string>> = {
    "/latest/dynamic/instance-identity/document": JSON.stringify(EC2_DOCUMENT),
    "/latest/meta-data/hostname": "ip-10-0-0-1.internal",
    "/latest/meta-data/tags/instance": "Name\nteam",
    "/latest/meta-data/tags/instance/team": "blue",
  };
  const path = request.url ?? "";
  if (path === "/latest/api/token") {
    const isRight =
      request.method === "PUT" && request.headers["x-aws-ec2-metadata-token-ttl-seconds"] === "60";
    response.writeHead(isRight ? 200 : 400).end("TOKEN");
  } else if (request.headers["x-aws-ec2-metadata-token"] !== "TOKEN") response.writeHead(401).end();
  else if (bodies[path] === undefined) response.writeHead(404).end();
  else response.end(bodies[path]);
};
const EC2_RESOURCE = {
  "cloud.provider": "aws",
  "cloud.platform": "aws_ec2",
  "cloud.region": "eu-central-1",
  "cloud.account.id": "123456789012",
  "cloud.availability_zone": "eu-central-1a",
  "host.id": "i-0abc",
  "host.image.id": "ami-1",
  "host.type": "m5.xlarge",
  "host.name": "ip-10-0-0-1.internal",
};

test("ec2 asks with a token and gives the instance and the tags that are asked for", async (context) => {
  const world = worldOf({ url: await metadata(context, ec2) });
  assert.deepEqual((await run({ detectors: ["ec2"] }, world)).resource, EC2_RESOURCE);
  const tags = { tags: ["^team$"], tags_from_imds: true };
  const tagged = await run({ detectors: ["ec2"], ec2: tags }, world);
  assert.deepEqual(tagged.resource, { ...EC2_RESOURCE, "ec2.tag.team": "blue" });
});

test("eks is ec2 in a pod, and less unless it is switched on", async (context) => {
  const url = await metadata(context, ec2);
  const env = { KUBERNETES_SERVICE_HOST: "10.0.0.1" };
  const eks = { resource_attributes: { "cloud.region": { enabled: true } } };
  const { resource } = await run({ detectors: ["eks"], eks }, worldOf({ url, env }));
  assert.deepEqual(resource, {
    "cloud.provider": "aws",
    "cloud.platform": "aws_eks",
    "cloud.region": "eu-central-1",
  });
  const outside = await run({ detectors: ["eks"] }, worldOf({ url }));
  assert.deepEqual(outside.resource, {});
  assert.match(outside.warnings.join(), /eks: the agent runs in no pod/);
});

const GCP: Readonly<Record<string, string>> = {
  "project/project-id": "shop-1",
  "instance/zone": "projects/42/zones/us-central1-c",
  "instance/id": "7",
  "instance/name": "vm-7",
  "instance/machine-type": "projects/42/machineTypes/n1-standard-1",
  "instance/attributes/cluster-name": "prod",
  "instance/attributes/cluster-location": "us-central1",
};
const gcp: Answer = (request, response) => {
  const body = GCP[(request.url ?? "").slice("/computeMetadata/v1/".length)];
  const isRight = request.headers["metadata-flavor"] === "Google" && body !== undefined;
  response.writeHead(isRight ? 200 : 403).end(body);
};

test("gcp gives a virtual machine, and in a pod the cluster", async (context) => {
  const url = await metadata(context, gcp);
  const machine = {
    "cloud.provider": "gcp",
    "cloud.account.id": "shop-1",
    "cloud.region": "us-central1",
    "host.id": "7",
    "host.name": "vm-7",
  };
  assert.deepEqual((await run({ detectors: ["gcp"] }, worldOf({ url }))).resource, {
    ...machine,
    "cloud.platform": "gcp_compute_engine",
    "cloud.availability_zone": "us-central1-c",
    "host.type": "n1-standard-1",
  });
  const env = { KUBERNETES_SERVICE_HOST: "10.0.0.1" };
  assert.deepEqual((await run({ detectors: ["gke"] }, worldOf({ url, env }))).resource, {
    ...machine,
    "cloud.platform": "gcp_kubernetes_engine",
    "k8s.cluster.name": "prod",
  });
});

/** learn.microsoft.com/azure/virtual-machines/instance-metadata-service, "compute". */
const azure: Answer = (request, response) => {
  const isRight =
    request.headers["metadata"] === "true" &&
    request.url?.startsWith("/metadata/instance/compute?api-version=") === true;
  const compute = {
    location: "westeurope",
    name: "vm-1",
    vmId: "0-1-2",
    vmSize: "Standard_D2",
    subscriptionId: "sub",
    resourceGroupName: "MC_shop_prod_westeurope",
    vmScaleSetName: "pool",
    zone: "1",
    osProfile: { computerName: "aks-1" },
    tagsList: [
      { name: "team", value: "blue" },
      { name: "secret", value: "no" },
    ],
  };
  response.writeHead(isRight ? 200 : 400).end(JSON.stringify(compute));
};

test("azure gives the machine and its tags, aks the cluster's name", async (context) => {
  const url = await metadata(context, azure);
  const body = { detectors: ["azure"], azure: { tags: ["^te"] } };
  assert.deepEqual((await run(body, worldOf({ url }))).resource, {
    "cloud.provider": "azure",
    "cloud.platform": "azure.vm",
    "cloud.region": "westeurope",
    "cloud.account.id": "sub",
    "cloud.availability_zone": "1",
    "host.id": "0-1-2",
    "host.name": "aks-1",
    "host.type": "Standard_D2",
    "azure.vm.name": "vm-1",
    "azure.vm.size": "Standard_D2",
    "azure.vm.scaleset.name": "pool",
    "azure.resourcegroup.name": "MC_shop_prod_westeurope",
    "azure.tag.team": "blue",
  });
  const env = { KUBERNETES_SERVICE_HOST: "10.0.0.1" };
  const aks = { resource_attributes: { "k8s.cluster.name": { enabled: true } } };
  assert.deepEqual((await run({ detectors: ["aks"], aks }, worldOf({ url, env }))).resource, {
    "cloud.provider": "azure",
    "cloud.platform": "azure.aks",
    "k8s.cluster.name": "prod",
  });
});

test("docker gives the daemon's host, and on request our own container", async () => {
  const asked: string[] = [];
  const world: World = {
    ...worldOf({}),
    ask: async (url, { socketPath }) => {
      asked.push(`${socketPath} ${new URL(url).pathname.split("/")[1]}`);
      return url.endsWith("/info")
        ? JSON.stringify({ Name: "docker-host", OSType: "linux" })
        : JSON.stringify({ Name: "/agent", Config: { Image: "backstitch:1" } });
    },
  };
  const plainRun = await run({ detectors: ["docker"] }, world);
  assert.deepEqual(plainRun.resource, { "host.name": "docker-host", "os.type": "linux" });
  const resource_attributes = { "container.name": { enabled: true } };
  const own = await run({ detectors: ["docker"], docker: { resource_attributes } }, world);
  assert.equal(own.resource["container.name"], "agent");
  assert.equal(own.resource["container.image.name"], undefined);
  assert.deepEqual(
    asked,
    Array(2).fill("/var/run/docker.sock info").concat("/var/run/docker.sock containers"),
  );
});

test("a metadata service that comes late is waited for; one that hangs costs the timeout only", async (context) => {
  let refused = 0;
  const late = await metadata(context, (request, response) => {
    if (refused++ < 1) response.writeHead(503).end();
    else azure(request, response);
  });
  const body = { detectors: ["azure"], timeout: "2s" };
  const found = await run(body, worldOf({ url: late }));
  assert.equal(found.resource["cloud.region"], "westeurope");
  const hanging = await metadata(context, () => undefined);
  const startedMs = performance.now();
  const nothing = await run({ detectors: ["env", "gcp"] }, worldOf({ url: hanging }));
  assert.ok(performance.now() - startedMs < 1_500);
  assert.deepEqual(nothing.warnings, ["gcp: no answer within 300 ms"]);
});

test("fail_on_missing_metadata stops the start and says which detector", async () => {
  const body = { detectors: ["azure"], fail_on_missing_metadata: true };
  await assert.rejects(run(body, worldOf({})), /the detector azure found nothing: .*ECONNREFUSED/);
});

test("configurations that cannot work are refused with what to do", () => {
  const messageOf = (body: object): string =>
    configSchema
      .safeParse(body)
      .error?.issues.map(({ message }) => message)
      .join() ?? "";
  assert.match(messageOf({ detectors: ["lambda"] }), /is not one of: env, system/);
  assert.match(messageOf({ ec2: { tags: ["a"] } }), /set tags_from_imds: true/);
});
