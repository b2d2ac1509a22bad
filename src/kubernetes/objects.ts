// SPDX-License-Identifier: Apache-2.0
import { type JsonObject, listOf, objectOf, textOf, textsOf } from "./json.ts";

/** What every object has, as far as we keep it. */
export interface ObjectMeta {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly annotations: ReadonlyMap<string, string>;
  readonly owner: Owner | undefined;
}

/** The controller of an object: a pod's ReplicaSet, a ReplicaSet's Deployment. */
export interface Owner {
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}

/** A container that runs or ran in a pod. */
export interface PodContainer {
  readonly name: string;
  /** As the pod asks for it: `registry/name:tag@digest`. */
  readonly image: string;
  /** `registry/name@sha256:…` as the runtime has it, or empty. */
  readonly imageId: string;
  /** Without the runtime's scheme; the newest first, then the ones of earlier starts. */
  readonly ids: readonly string[];
  readonly restartCount: number;
  /** Neither an init container nor an ephemeral one. */
  readonly isRegular: boolean;
}

export interface Pod extends ObjectMeta {
  readonly node: string;
  readonly hostname: string;
  /** Without those of the node that pods in its network have. */
  readonly ips: readonly string[];
  /** As the API has it (RFC 3339), or empty. */
  readonly startTime: string;
  /** Succeeded or failed: its address may be another's by now. */
  readonly isFinished: boolean;
  readonly containers: readonly PodContainer[];
}

export interface Kept {
  /** Which labels and annotations anybody wants: the others cost no memory. */
  readonly label: (key: string) => boolean;
  readonly annotation: (key: string) => boolean;
}

export function decodeMeta(object: JsonObject, kept: Kept): ObjectMeta {
  const meta = objectOf(object["metadata"]);
  return {
    uid: textOf(meta["uid"]),
    name: textOf(meta["name"]),
    namespace: textOf(meta["namespace"]),
    labels: chosen(textsOf(meta["labels"]), kept.label),
    annotations: chosen(textsOf(meta["annotations"]), kept.annotation),
    owner: ownerOf(listOf(meta["ownerReferences"])),
  };
}

const NONE: ReadonlyMap<string, string> = new Map();

function chosen(
  texts: ReadonlyMap<string, string>,
  isWanted: (key: string) => boolean,
): ReadonlyMap<string, string> {
  const left = [...texts].filter(([key]) => isWanted(key));
  return left.length === 0 ? NONE : new Map(left);
}

function ownerOf(references: readonly unknown[]): Owner | undefined {
  const owners = references.map(objectOf);
  const owner = owners.find((reference) => reference["controller"] === true) ?? owners[0];
  if (owner === undefined) return undefined;
  return { kind: textOf(owner["kind"]), name: textOf(owner["name"]), uid: textOf(owner["uid"]) };
}

export function decodePod(object: JsonObject, kept: Kept): Pod {
  const spec = objectOf(object["spec"]);
  const status = objectOf(object["status"]);
  const meta = decodeMeta(object, kept);
  const phase = textOf(status["phase"]);
  return {
    ...meta,
    node: textOf(spec["nodeName"]),
    hostname: textOf(spec["hostname"]) || meta.name,
    ips: spec["hostNetwork"] === true ? [] : ipsOf(status),
    startTime: textOf(status["startTime"]),
    isFinished: phase === "Succeeded" || phase === "Failed",
    containers: containersOf(spec, status),
  };
}

function ipsOf(status: JsonObject): readonly string[] {
  const ips = listOf(status["podIPs"]).map((entry) => textOf(objectOf(entry)["ip"]));
  const first = textOf(status["podIP"]);
  return [...new Set([first, ...ips])].filter((ip) => ip !== "");
}

const KINDS = [
  ["containers", "containerStatuses"],
  ["initContainers", "initContainerStatuses"],
  ["ephemeralContainers", "ephemeralContainerStatuses"],
] as const;

function containersOf(spec: JsonObject, status: JsonObject): readonly PodContainer[] {
  return KINDS.flatMap(([specs, statuses]) => {
    const known = new Map(
      listOf(status[statuses]).map((entry) => {
        const one = objectOf(entry);
        return [textOf(one["name"]), one] as const;
      }),
    );
    const isRegular = specs === "containers";
    return listOf(spec[specs]).map((entry) => ({
      ...containerOf(objectOf(entry), known),
      isRegular,
    }));
  });
}

function containerOf(
  spec: JsonObject,
  known: ReadonlyMap<string, JsonObject>,
): Omit<PodContainer, "isRegular"> {
  const name = textOf(spec["name"]);
  const status = objectOf(known.get(name));
  const last = objectOf(objectOf(status["lastState"])["terminated"]);
  const ids = [withoutScheme(textOf(status["containerID"]))];
  ids.push(withoutScheme(textOf(last["containerID"])));
  const restarts = status["restartCount"];
  return {
    name,
    image: textOf(spec["image"]) || textOf(status["image"]),
    imageId: withoutScheme(textOf(status["imageID"])),
    ids: [...new Set(ids)].filter((id) => id !== ""),
    restartCount: typeof restarts === "number" ? restarts : 0,
  };
}

/** `containerd://ID` is ID; `docker-pullable://IMAGE` is IMAGE. */
function withoutScheme(text: string): string {
  return text.replace(/^[a-z-]+:\/\//, "");
}

export interface ImageReference {
  readonly name: string;
  readonly tag: string;
  /** `sha256:…`, or empty. */
  readonly digest: string;
}

/** `latest` where an image has neither tag nor digest, as runtimes have it. */
export function parseImage(image: string): ImageReference {
  const [path = "", digest = ""] = image.split("@", 2);
  const colon = path.lastIndexOf(":");
  const hasTag = colon > path.lastIndexOf("/");
  const name = hasTag ? path.slice(0, colon) : path;
  const tag = hasTag ? path.slice(colon + 1) : digest === "" ? "latest" : "";
  return { name, tag, digest };
}

export interface ClusterService extends ObjectMeta {
  /** Cluster addresses, and those of load balancers. */
  readonly ips: readonly string[];
}

export function decodeService(object: JsonObject, kept: Kept): ClusterService {
  const spec = objectOf(object["spec"]);
  const balancer = objectOf(objectOf(object["status"])["loadBalancer"]);
  const given = listOf(balancer["ingress"]).map((entry) => textOf(objectOf(entry)["ip"]));
  const ips = [spec["clusterIP"], ...listOf(spec["clusterIPs"]), ...listOf(spec["externalIPs"])];
  const all = new Set([...ips.map(textOf), ...given]);
  return {
    ...decodeMeta(object, kept),
    ips: [...all].filter((ip) => ip !== "" && ip !== "None"),
  };
}
