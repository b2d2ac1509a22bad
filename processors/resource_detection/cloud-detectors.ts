// SPDX-License-Identifier: Apache-2.0
import {
  ATTR_CLOUD_ACCOUNT_ID,
  ATTR_CLOUD_AVAILABILITY_ZONE,
  ATTR_CLOUD_PLATFORM,
  ATTR_CLOUD_PROVIDER,
  ATTR_CLOUD_REGION,
  ATTR_HOST_ID,
  ATTR_HOST_IMAGE_ID,
  ATTR_HOST_NAME,
  ATTR_HOST_TYPE,
  ATTR_K8S_CLUSTER_NAME,
  CLOUD_PLATFORM_VALUE_AWS_EC2,
  CLOUD_PLATFORM_VALUE_AWS_EKS,
  CLOUD_PLATFORM_VALUE_AZURE_AKS,
  CLOUD_PLATFORM_VALUE_AZURE_VM,
  CLOUD_PLATFORM_VALUE_GCP_COMPUTE_ENGINE,
  CLOUD_PLATFORM_VALUE_GCP_KUBERNETES_ENGINE,
  CLOUD_PROVIDER_VALUE_AWS,
  CLOUD_PROVIDER_VALUE_AZURE,
  CLOUD_PROVIDER_VALUE_GCP,
} from "@opentelemetry/semantic-conventions/incubating";
import { type JsonObject, listOf, objectOf, parseJson, textOf } from "../../src/kubernetes/json.ts";
import type { Detected, Detection } from "./host-detectors.ts";

const TAGS_MAX = 64;

/** Keeps what has a value. */
function known(pairs: readonly (readonly [string, string])[]): Detected {
  return new Map(pairs.filter(([, value]) => value !== ""));
}

function requirePod({ world }: Detection): void {
  if ((world.env["KUBERNETES_SERVICE_HOST"] ?? "") === "") {
    throw new Error("the agent runs in no pod: KUBERNETES_SERVICE_HOST is not set");
  }
}

/** Asks the instance metadata service, version 2: with a token for the session. */
async function awsAsker({ world, signal }: Detection): Promise<(path: string) => Promise<string>> {
  const token = await world.ask(`${world.metadata.aws}/latest/api/token`, {
    method: "PUT",
    headers: { "x-aws-ec2-metadata-token-ttl-seconds": "60" },
    signal,
  });
  const headers = { "x-aws-ec2-metadata-token": token };
  return (path) => world.ask(`${world.metadata.aws}/latest/${path}`, { headers, signal });
}

export async function detectEc2(detection: Detection): Promise<Detected> {
  const ask = await awsAsker(detection);
  const found = await awsInstance(ask);
  found.set(ATTR_CLOUD_PLATFORM, CLOUD_PLATFORM_VALUE_AWS_EC2);
  const { tags } = detection.config.ec2;
  if (tags.length === 0) return found;
  const names = (await ask("meta-data/tags/instance")).split("\n").slice(0, TAGS_MAX);
  for (const name of names.filter((text) => tags.some((pattern) => pattern.test(text)))) {
    const value = await ask(`meta-data/tags/instance/${encodeURIComponent(name)}`);
    found.set(`ec2.tag.${name}`, value);
  }
  return found;
}

async function awsInstance(ask: (path: string) => Promise<string>): Promise<Detected> {
  const about = objectOf(parseJson(await ask("dynamic/instance-identity/document")));
  const found = known([
    [ATTR_CLOUD_PROVIDER, CLOUD_PROVIDER_VALUE_AWS],
    [ATTR_CLOUD_REGION, textOf(about["region"])],
    [ATTR_CLOUD_ACCOUNT_ID, textOf(about["accountId"])],
    [ATTR_CLOUD_AVAILABILITY_ZONE, textOf(about["availabilityZone"])],
    [ATTR_HOST_ID, textOf(about["instanceId"])],
    [ATTR_HOST_IMAGE_ID, textOf(about["imageId"])],
    [ATTR_HOST_TYPE, textOf(about["instanceType"])],
  ]);
  const name = await ask("meta-data/hostname").catch(() => "");
  if (name !== "") found.set(ATTR_HOST_NAME, name);
  return found;
}

export async function detectEks(detection: Detection): Promise<Detected> {
  requirePod(detection);
  const found = await awsInstance(await awsAsker(detection));
  return found.set(ATTR_CLOUD_PLATFORM, CLOUD_PLATFORM_VALUE_AWS_EKS);
}

/** Compute Engine, and in a pod Google's Kubernetes. */
export async function detectGcp(detection: Detection): Promise<Detected> {
  const { world, signal } = detection;
  const headers = { "metadata-flavor": "Google" };
  const ask = (path: string): Promise<string> =>
    world.ask(`${world.metadata.gcp}/computeMetadata/v1/${path}`, { headers, signal });
  const lastOf = (text: string): string => text.trim().split("/").at(-1) ?? "";
  const optional = (path: string): Promise<string> => ask(path).catch(() => "");
  const project = await ask("project/project-id");
  const zone = lastOf(await optional("instance/zone"));
  const found = known([
    [ATTR_CLOUD_PROVIDER, CLOUD_PROVIDER_VALUE_GCP],
    [ATTR_CLOUD_PLATFORM, CLOUD_PLATFORM_VALUE_GCP_COMPUTE_ENGINE],
    [ATTR_CLOUD_ACCOUNT_ID, project.trim()],
    [ATTR_CLOUD_AVAILABILITY_ZONE, zone],
    [ATTR_CLOUD_REGION, zone.replace(/-[a-z]$/, "")],
    [ATTR_HOST_ID, (await optional("instance/id")).trim()],
    [ATTR_HOST_NAME, (await optional("instance/name")).trim()],
  ]);
  if ((world.env["KUBERNETES_SERVICE_HOST"] ?? "") === "") {
    const machine = lastOf(await optional("instance/machine-type"));
    return machine === "" ? found : found.set(ATTR_HOST_TYPE, machine);
  }
  found.set(ATTR_CLOUD_PLATFORM, CLOUD_PLATFORM_VALUE_GCP_KUBERNETES_ENGINE);
  const cluster = (await optional("instance/attributes/cluster-name")).trim();
  if (cluster !== "") found.set(ATTR_K8S_CLUSTER_NAME, cluster);
  // A cluster's location is a zone (two dashes) or a region.
  const location = (await optional("instance/attributes/cluster-location")).trim();
  if (/^[a-z]+-[a-z]+\d+$/.test(location)) {
    found.delete(ATTR_CLOUD_AVAILABILITY_ZONE);
    found.set(ATTR_CLOUD_REGION, location);
  }
  return found;
}

async function azureInstance({ world, signal }: Detection): Promise<JsonObject> {
  const url = `${world.metadata.azure}/metadata/instance/compute?api-version=2021-02-01&format=json`;
  return objectOf(parseJson(await world.ask(url, { headers: { metadata: "true" }, signal })));
}

export async function detectAzure(detection: Detection): Promise<Detected> {
  const about = await azureInstance(detection);
  const found = known([
    [ATTR_CLOUD_PROVIDER, CLOUD_PROVIDER_VALUE_AZURE],
    [ATTR_CLOUD_PLATFORM, CLOUD_PLATFORM_VALUE_AZURE_VM],
    [ATTR_CLOUD_REGION, textOf(about["location"])],
    [ATTR_CLOUD_ACCOUNT_ID, textOf(about["subscriptionId"])],
    [ATTR_CLOUD_AVAILABILITY_ZONE, textOf(about["zone"])],
    [ATTR_HOST_ID, textOf(about["vmId"])],
    [ATTR_HOST_NAME, textOf(objectOf(about["osProfile"])["computerName"])],
    [ATTR_HOST_TYPE, textOf(about["vmSize"])],
    ["azure.vm.name", textOf(about["name"])],
    ["azure.vm.size", textOf(about["vmSize"])],
    ["azure.vm.scaleset.name", textOf(about["vmScaleSetName"])],
    ["azure.resourcegroup.name", textOf(about["resourceGroupName"])],
  ]);
  const { tags } = detection.config.azure;
  for (const entry of listOf(about["tagsList"]).slice(0, TAGS_MAX).map(objectOf)) {
    const name = textOf(entry["name"]);
    if (tags.some((pattern) => pattern.test(name))) {
      found.set(`azure.tag.${name}`, textOf(entry["value"]));
    }
  }
  return found;
}

export async function detectAks(detection: Detection): Promise<Detected> {
  requirePod(detection);
  const group = textOf((await azureInstance(detection))["resourceGroupName"]);
  return known([
    [ATTR_CLOUD_PROVIDER, CLOUD_PROVIDER_VALUE_AZURE],
    [ATTR_CLOUD_PLATFORM, CLOUD_PLATFORM_VALUE_AZURE_AKS],
    [ATTR_K8S_CLUSTER_NAME, aksCluster(group)],
  ]);
}

/** `MC_<group>_<cluster>_<location>`; the whole where that does not say it without doubt. */
function aksCluster(group: string): string {
  const parts = group.split("_");
  return parts.length === 4 && parts[0]?.toUpperCase() === "MC" ? (parts[2] ?? group) : group;
}
