// SPDX-License-Identifier: Apache-2.0
import {
  ATTR_CONTAINER_ID,
  ATTR_CONTAINER_IMAGE_NAME,
  ATTR_CONTAINER_IMAGE_TAGS,
  ATTR_CONTAINER_NAME,
  ATTR_K8S_CONTAINER_NAME,
  ATTR_K8S_CONTAINER_RESTART_COUNT,
  ATTR_K8S_NAMESPACE_NAME,
  ATTR_K8S_NODE_NAME,
  ATTR_K8S_POD_IP,
} from "@opentelemetry/semantic-conventions/incubating";
import { encodeAnyValue } from "../../src/attributes/any-value.ts";
import type { AttributeList } from "../../src/attributes/attribute-list.ts";
import type { ContainerRuntimes } from "../../src/kubernetes/container-runtimes.ts";
import { type Pod, type PodContainer, parseImage } from "../../src/kubernetes/objects.ts";
import { associationRules, type Cluster } from "./cluster.ts";
import type { AssociationSource, K8sAttributesConfig } from "./config.ts";
import { Extraction, type Found } from "./extraction.ts";

/** An attribute as bytes. */
interface Encoded {
  readonly key: Uint8Array;
  /** An AnyValue. */
  readonly value: Uint8Array;
  readonly overwrites: boolean;
}

interface Prepared {
  readonly generation: number;
  readonly attributes: readonly Encoded[];
}

const POD_IP = Buffer.from(ATTR_K8S_POD_IP);
const NAMESPACE = Buffer.from(ATTR_K8S_NAMESPACE_NAME);
const NODE = Buffer.from(ATTR_K8S_NODE_NAME);
const CONTAINER_ID = Buffer.from(ATTR_CONTAINER_ID);
const CONTAINER_NAME = Buffer.from(ATTR_K8S_CONTAINER_NAME);
const RESTART_COUNT = Buffer.from(ATTR_K8S_CONTAINER_RESTART_COUNT);

interface Source {
  readonly from: AssociationSource["from"];
  readonly key: Uint8Array;
}

/** Finds the pod of a resource and adds what is known of it. */
export class ResourceEnricher {
  readonly #cluster: Cluster;
  readonly #extraction: Extraction;
  readonly #rules: readonly (readonly Source[])[];
  readonly #exclude: readonly RegExp[];
  readonly #overwrite: ReadonlySet<string>;
  /** Attributes as bytes, made once a pod and change. */
  readonly #prepared = new WeakMap<object, Prepared>();

  constructor(config: K8sAttributesConfig, cluster: Cluster) {
    this.#cluster = cluster;
    this.#extraction = new Extraction(config.extract, cluster);
    this.#rules = associationRules(config).map(({ sources }) =>
      sources.map(({ from, name }) => ({ from, key: Buffer.from(name ?? "") })),
    );
    this.#exclude = config.exclude.pods.map(({ name }) => name);
    this.#overwrite = new Set(config.overwrite);
  }

  /** False: no pod was found. `sender` is the address that a batch came from, or empty. */
  enrich(list: AttributeList, sender: string): boolean {
    const pod = this.#podOf(list, sender);
    if (pod === undefined) {
      this.#surroundings(list);
      return false;
    }
    if (this.#exclude.some((name) => name.test(pod.name))) return true;
    this.#add(
      list,
      this.#attributesOf(pod, () => this.#extraction.ofPod(pod)),
    );
    const id = textAt(list, CONTAINER_ID);
    const container = containerOf(pod, list, id);
    if (container === undefined) return true;
    const nth = Number(textAt(list, RESTART_COUNT) || -1);
    const instance = nth >= 0 ? container.ids[container.restartCount - nth] : undefined;
    if (instance !== undefined) {
      this.#add(list, this.#encode(this.#extraction.ofContainer(pod, container, instance)));
    } else {
      const made = (): Found => this.#extraction.ofContainer(pod, container, undefined);
      this.#add(list, this.#attributesOf(container, made));
    }
    return true;
  }

  #podOf(list: AttributeList, sender: string): Pod | undefined {
    for (const [at, sources] of this.#rules.entries()) {
      const values: string[] = [];
      for (const { from, key } of sources) {
        const value = from === "connection" ? sender : textAt(list, key);
        if (value !== "") values.push(value);
      }
      if (values.length < sources.length) continue;
      const pod = this.#cluster.pods.find(at, values);
      if (pod !== undefined) return pod;
    }
    return undefined;
  }

  /** Without a pod, what the resource itself says of namespace and node still leads further. */
  #surroundings(list: AttributeList): void {
    const namespace = textAt(list, NAMESPACE);
    const node = textAt(list, NODE);
    if (namespace === "" && node === "") return;
    const found: Found = new Map();
    if (namespace !== "") this.#extraction.ofNamespace(namespace, found);
    this.#extraction.ofNode(node, found);
    this.#add(list, this.#encode(found));
  }

  #attributesOf(holder: object, make: () => Found): readonly Encoded[] {
    const { generation } = this.#cluster;
    const known = this.#prepared.get(holder);
    if (known !== undefined && known.generation === generation) return known.attributes;
    const attributes = this.#encode(make());
    this.#prepared.set(holder, { generation, attributes });
    return attributes;
  }

  #encode(found: Found): readonly Encoded[] {
    return [...found].map(([name, value]) => ({
      key: Buffer.from(name),
      value: encodeAnyValue(value),
      overwrites: this.#overwrite.has(name),
    }));
  }

  #add(list: AttributeList, attributes: readonly Encoded[]): void {
    for (const { key, value, overwrites } of attributes) {
      const at = list.find(key);
      if (at === -1) list.add(key, value);
      else if (overwrites || list.value(at) === "") list.replace(at, value);
    }
  }
}

/** Adds the sender's address, for a gateway that knows the pods (`passthrough`). */
export function addSender(list: AttributeList, sender: string): void {
  if (sender !== "" && list.find(POD_IP) === -1) list.add(POD_IP, encodeAnyValue(sender));
}

/** Adds what a runtime of this host says of the resource's container. */
export function addContainer(list: AttributeList, runtimes: ContainerRuntimes): void {
  const id = textAt(list, CONTAINER_ID);
  const container = id === "" ? undefined : runtimes.find(id);
  if (container === undefined) return;
  const image = parseImage(container.image);
  for (const [name, value] of [
    [ATTR_CONTAINER_NAME, container.name],
    [ATTR_CONTAINER_IMAGE_NAME, image.name],
    [ATTR_CONTAINER_IMAGE_TAGS, image.tag === "" ? [] : [image.tag]],
  ] as const) {
    const key = Buffer.from(name);
    if (value.length > 0 && list.find(key) === -1) list.add(key, encodeAnyValue(value));
  }
}

function containerOf(pod: Pod, list: AttributeList, id: string): PodContainer | undefined {
  const known = pod.containers.find((container) => container.ids.includes(id));
  if (known !== undefined) return known;
  const name = textAt(list, CONTAINER_NAME);
  if (name !== "") return pod.containers.find((container) => container.name === name);
  const regular = pod.containers.filter(({ isRegular }) => isRegular);
  // An id that is not known yet is most likely the only container's.
  return regular.length === 1 && (id === "" || regular[0]?.ids.length === 0)
    ? regular[0]
    : undefined;
}

function textAt(list: AttributeList, key: Uint8Array): string {
  const at = list.find(key);
  if (at === -1) return "";
  const value = list.value(at);
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}
