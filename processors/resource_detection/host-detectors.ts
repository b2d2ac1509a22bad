// SPDX-License-Identifier: Apache-2.0
import { arch, cpus, hostname, networkInterfaces, release, type, userInfo } from "node:os";
import { basename } from "node:path";
import {
  ATTR_CONTAINER_ID,
  ATTR_CONTAINER_IMAGE_NAME,
  ATTR_CONTAINER_NAME,
  ATTR_HOST_ARCH,
  ATTR_HOST_CPU_MODEL_NAME,
  ATTR_HOST_ID,
  ATTR_HOST_IP,
  ATTR_HOST_MAC,
  ATTR_HOST_NAME,
  ATTR_OS_BUILD_ID,
  ATTR_OS_DESCRIPTION,
  ATTR_OS_NAME,
  ATTR_OS_TYPE,
  ATTR_OS_VERSION,
  ATTR_PROCESS_EXECUTABLE_NAME,
  ATTR_PROCESS_EXECUTABLE_PATH,
  ATTR_PROCESS_OWNER,
  ATTR_PROCESS_PID,
  ATTR_PROCESS_RUNTIME_NAME,
  ATTR_PROCESS_RUNTIME_VERSION,
} from "@opentelemetry/semantic-conventions/incubating";
import { objectOf, parseJson, textOf } from "../../src/kubernetes/json.ts";
import type { ResourceDetectionConfig } from "./config.ts";
import type { World } from "./world.ts";

export type Detected = Map<string, string | number | readonly string[]>;

export interface Detection {
  readonly world: World;
  readonly config: ResourceDetectionConfig;
  readonly signal: AbortSignal;
}

/** `host.arch` of the semantic conventions by Node's name, where the two differ. */
const ARCHITECTURES: ReadonlyMap<string, string> = new Map([
  ["x64", "amd64"],
  ["ia32", "x86"],
  ["arm", "arm32"],
  ["ppc64", "ppc64"],
]);

export async function detectHost({ world, config }: Detection): Promise<Detected> {
  const found: Detected = new Map();
  found.set(ATTR_HOST_NAME, await hostName(world, config.system.hostname_sources));
  const machine = world.env["HOST_MACHINE_ID"] ?? tryRead(world, "/etc/machine-id").trim();
  if (machine !== "") found.set(ATTR_HOST_ID, machine);
  found.set(ATTR_HOST_ARCH, ARCHITECTURES.get(arch()) ?? arch());
  const cpu = cpus()[0]?.model.trim() ?? "";
  if (cpu !== "") found.set(ATTR_HOST_CPU_MODEL_NAME, cpu);
  const interfaces = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ internal }) => !internal);
  found.set(ATTR_HOST_IP, [...new Set(interfaces.map(({ address }) => address))]);
  const macs = interfaces.map(({ mac }) => mac.replaceAll(":", "-").toUpperCase());
  found.set(ATTR_HOST_MAC, [...new Set(macs)]);
  return found;
}

async function hostName(world: World, sources: readonly ("dns" | "os")[]): Promise<string> {
  for (const source of sources) {
    if (source === "os") return hostname();
    const name = await world.fullHostName(hostname()).catch(() => undefined);
    if (name !== undefined) return name;
  }
  return hostname();
}

export async function detectOs({ world }: Detection): Promise<Detected> {
  const about = keyValues(tryRead(world, "/etc/os-release"));
  const found: Detected = new Map([
    [ATTR_OS_TYPE, type().toLowerCase()],
    [ATTR_OS_DESCRIPTION, `${about.get("PRETTY_NAME") ?? type()} (${type()} ${release()})`],
  ]);
  const more = [
    [ATTR_OS_NAME, about.get("NAME")],
    [ATTR_OS_VERSION, about.get("VERSION_ID")],
    [ATTR_OS_BUILD_ID, tryRead(world, "/proc/sys/kernel/osrelease").trim()],
  ] as const;
  for (const [name, value] of more) {
    if (value !== undefined && value !== "") found.set(name, value);
  }
  return found;
}

/** The agent itself. */
export async function detectProcess(): Promise<Detected> {
  return new Map<string, string | number>([
    [ATTR_PROCESS_PID, process.pid],
    [ATTR_PROCESS_EXECUTABLE_NAME, basename(process.execPath)],
    [ATTR_PROCESS_EXECUTABLE_PATH, process.execPath],
    [ATTR_PROCESS_OWNER, userInfo().username],
    [ATTR_PROCESS_RUNTIME_NAME, "nodejs"],
    [ATTR_PROCESS_RUNTIME_VERSION, process.versions.node],
  ]);
}

const CONTAINER_ID = /(?:^|[-:/])([0-9a-f]{64})(?:\.scope)?(?:\/|$)/m;
const MOUNTED_BY_RUNTIME = /\/containers\/([0-9a-f]{64})\/(?:hostname|hosts|resolv\.conf)/;

/** Where the agent runs: its cgroup, or with a cgroup namespace the files that are mounted in. */
export async function detectContainer({ world }: Detection): Promise<Detected> {
  const id =
    CONTAINER_ID.exec(tryRead(world, "/proc/self/cgroup"))?.[1] ??
    MOUNTED_BY_RUNTIME.exec(tryRead(world, "/proc/self/mountinfo"))?.[1];
  if (id === undefined) throw new Error("the agent does not run in a container");
  return new Map([[ATTR_CONTAINER_ID, id]]);
}

/** Docker's Engine API: the daemon's host, not the container that we may be in. */
export async function detectDocker({ world, config, signal }: Detection): Promise<Detected> {
  const socketPath = config.docker.endpoint.slice("unix://".length);
  const ask = async (path: string): Promise<Readonly<Record<string, unknown>>> =>
    objectOf(parseJson(await world.ask(`http://localhost${path}`, { socketPath, signal })));
  const info = await ask("/info");
  const found: Detected = new Map([
    [ATTR_HOST_NAME, textOf(info["Name"])],
    [ATTR_OS_TYPE, textOf(info["OSType"])],
  ]);
  const wanted = config.docker.resource_attributes;
  if (wanted.get(ATTR_CONTAINER_NAME) === true || wanted.get(ATTR_CONTAINER_IMAGE_NAME) === true) {
    const own = await ask(`/containers/${encodeURIComponent(hostname())}/json`);
    found.set(ATTR_CONTAINER_NAME, textOf(own["Name"]).replace(/^\//, ""));
    found.set(ATTR_CONTAINER_IMAGE_NAME, textOf(objectOf(own["Config"])["Image"]));
  }
  return found;
}

/** `OTEL_RESOURCE_ATTRIBUTES` (OpenTelemetry's resource SDK specification). */
export async function detectEnv({ world }: Detection): Promise<Detected> {
  const found: Detected = new Map();
  const text = world.env["OTEL_RESOURCE_ATTRIBUTES"] ?? "";
  for (const pair of text.split(",")) {
    if (pair.trim() === "") continue;
    const at = pair.indexOf("=");
    const key = pair.slice(0, at).trim();
    if (at < 0 || key === "") {
      throw new Error(`OTEL_RESOURCE_ATTRIBUTES: "${pair.trim()}" is no key=value`);
    }
    found.set(decodeURIComponent(key), decodeURIComponent(pair.slice(at + 1).trim()));
  }
  const service = world.env["OTEL_SERVICE_NAME"] ?? "";
  if (service !== "") found.set("service.name", service);
  return found;
}

function tryRead(world: World, path: string): string {
  try {
    return world.readFile(path);
  } catch {
    return "";
  }
}

/** `KEY="value"` lines (os-release(5)). */
function keyValues(text: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const line of text.split("\n")) {
    const match = /^(\w+)=(?:"([^"]*)"|'([^']*)'|(.*))$/.exec(line.trim());
    if (match !== null) found.set(match[1] ?? "", match[2] ?? match[3] ?? match[4] ?? "");
  }
  return found;
}
