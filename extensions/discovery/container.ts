// SPDX-License-Identifier: Apache-2.0
import { closeSync, fstatSync, openSync, readdirSync, readFileSync } from "node:fs";

/** At least one of the two is known. */
export interface Container {
  /** As the runtime has it: 64 hexadecimal digits for docker, containerd, CRI-O and podman. */
  readonly id: string | undefined;
  readonly name: string | undefined;
}

export interface ContainerNames {
  /** The name that a runtime's own files on this host give to a container id. */
  nameOf(id: string): string | undefined;
}

/**
 * Finds the container in cgroup paths. The id is the last segment that is, or ends in, 64
 * hexadecimal digits: `docker-ID.scope`, `cri-containerd-ID.scope`, `crio-ID.scope`,
 * `libpod-ID.scope` under systemd; `/docker/ID`, `/kubepods/…/podUID/ID`,
 * `…slice:cri-containerd:ID` under cgroupfs. LXC and systemd-nspawn have names in its place.
 */
export function findContainer(
  paths: readonly string[],
  names: ContainerNames,
): Container | undefined {
  for (const path of paths) {
    const id = containerId(path);
    if (id !== undefined) return { id, name: names.nameOf(id) };
  }
  for (const path of paths) {
    const name = machineName(path);
    if (name !== undefined) return { id: undefined, name };
  }
  return undefined;
}

const POD_UID =
  /(?:^|[/-])pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})(?:\.slice)?(?=[/:]|$)/;

/**
 * The Kubernetes pod of a container: `…-podUID.slice` with underscores under systemd, `/podUID`
 * under cgroupfs. None for a static pod: its cgroup has a hash in place of the API's uid.
 */
export function findPodUid(paths: readonly string[]): string | undefined {
  for (const path of paths) {
    const uid = POD_UID.exec(path)?.[1];
    if (uid !== undefined) return uid.replaceAll("_", "-");
  }
  return undefined;
}

const ID_SEGMENT = /(?:^|[-:])([0-9a-f]{64})(?:\.scope)?$/;

function containerId(path: string): string | undefined {
  const segments = path.split("/");
  for (let at = segments.length - 1; at >= 0; at--) {
    const segment = segments[at] ?? "";
    // crio-conmon-ID.scope and libpod-conmon-ID.scope hold the container's monitor.
    if (segment.includes("conmon")) return undefined;
    const id = ID_SEGMENT.exec(segment)?.[1];
    if (id !== undefined) return id;
  }
  return undefined;
}

function machineName(path: string): string | undefined {
  const lxc = /(?:^|\/)lxc(?:\/|\.payload\.|\.payload\/)([^/]+)/.exec(path)?.[1];
  if (lxc !== undefined) return lxc;
  const nspawn =
    /(?:^|\/)machine\.slice\/(?:machine-([^/]+)\.scope|systemd-nspawn@([^/]+)\.service)/.exec(path);
  return (nspawn?.[1] ?? nspawn?.[2])?.replace(/\\x2d/g, "-");
}

const NAMES_MAX = 1024;
const FILE_BYTES_MAX = 4 << 20;
const OCI_NAME_ANNOTATIONS = [
  "io.kubernetes.cri.container-name",
  "io.kubernetes.container.name",
  "nerdctl/name",
];

/**
 * Reads names from the files that runtimes keep about their containers, without speaking to
 * them: docker's `config.v2.json`, the OCI `config.json` of containerd, CRI-O and podman,
 * and the list of podman's storage. Answers are kept, at most 1,024 of them.
 */
export class RuntimeFiles implements ContainerNames {
  readonly #root: string;
  readonly #names = new Map<string, string | undefined>();

  /** `root` is the host's file system: "" or a mount of it. */
  constructor(root: string) {
    this.#root = root;
  }

  nameOf(id: string): string | undefined {
    if (this.#names.has(id)) return this.#names.get(id);
    const name =
      this.#dockerName(id) ??
      this.#containerdName(id) ??
      this.#ociName(storagePath(id)) ??
      this.#podmanName(id);
    if (this.#names.size >= NAMES_MAX) {
      const oldest = this.#names.keys().next().value;
      if (oldest !== undefined) this.#names.delete(oldest);
    }
    this.#names.set(id, name);
    return name;
  }

  #dockerName(id: string): string | undefined {
    const config = this.#json(`/var/lib/docker/containers/${id}/config.v2.json`);
    return text(member(config, "Name"))?.replace(/^\//, "");
  }

  #containerdName(id: string): string | undefined {
    const tasks = "/run/containerd/io.containerd.runtime.v2.task";
    for (const namespace of this.#list(tasks)) {
      const name = this.#ociName(`${tasks}/${namespace}/${id}/config.json`);
      if (name !== undefined) return name;
    }
    return undefined;
  }

  #ociName(path: string): string | undefined {
    const annotations = member(this.#json(path), "annotations");
    for (const key of OCI_NAME_ANNOTATIONS) {
      const name = text(member(annotations, key));
      if (name !== undefined) return name;
    }
    return undefined;
  }

  #podmanName(id: string): string | undefined {
    const list = this.#json("/var/lib/containers/storage/overlay-containers/containers.json");
    if (!Array.isArray(list)) return undefined;
    const found: unknown = list.find((entry) => member(entry, "id") === id);
    const names = member(found, "names");
    return Array.isArray(names) ? text(names[0]) : undefined;
  }

  #list(path: string): string[] {
    try {
      return readdirSync(this.#root + path);
    } catch {
      return [];
    }
  }

  #json(path: string): unknown {
    let fd: number | undefined;
    try {
      fd = openSync(this.#root + path, "r");
      if (fstatSync(fd).size > FILE_BYTES_MAX) return undefined;
      const value: unknown = JSON.parse(readFileSync(fd, "utf8"));
      return value;
    } catch {
      return undefined;
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }
}

function storagePath(id: string): string {
  return `/run/containers/storage/overlay-containers/${id}/userdata/config.json`;
}

function member(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return new Map<string, unknown>(Object.entries(value)).get(key);
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}
