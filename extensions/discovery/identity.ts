// SPDX-License-Identifier: Apache-2.0
import {
  ATTR_CONTAINER_ID,
  ATTR_CONTAINER_NAME,
  ATTR_HOST_NAME,
  ATTR_K8S_POD_UID,
  ATTR_PROCESS_EXECUTABLE_NAME,
  ATTR_PROCESS_PID,
  ATTR_PROCESS_RUNTIME_NAME,
} from "@opentelemetry/semantic-conventions/incubating";
import type { ProcessProtocols, SelectedProcess } from "../../src/model/process.ts";
import { findPodUid } from "./container.ts";
import type { ProcessFacts } from "./process-facts.ts";
import { executableName, programName, runtimeName } from "./program-name.ts";

const ATTRIBUTES_MAX = 32;
const VALUE_LENGTH_MAX = 1024;

export interface IdentityOptions {
  /** The target's `name`. */
  readonly targetName: string | undefined;
  /** What the target says of protocols. */
  readonly protocols?: ProcessProtocols | undefined;
  readonly hostName: string;
}

/**
 * Who a process is. `service.name`, the first of: OTEL_SERVICE_NAME in its environment (or
 * `service.name` in OTEL_RESOURCE_ATTRIBUTES), the target's `name`, its container's name, the
 * script or module that an interpreter runs, its executable. Arguments never become
 * attributes: they may hold secrets.
 */
export function identify(facts: ProcessFacts, options: IdentityOptions): SelectedProcess {
  const { environment, container, exe, args } = facts;
  const given = parseResourceAttributes(environment.OTEL_RESOURCE_ATTRIBUTES ?? "");
  const serviceName =
    nonEmpty(environment.OTEL_SERVICE_NAME) ??
    nonEmpty(given.get("service.name")) ??
    options.targetName ??
    container?.name ??
    programName(facts);
  given.delete("service.name");
  const attributes = new Map<string, string | number>([[ATTR_HOST_NAME, options.hostName]]);
  attributes.set(ATTR_PROCESS_EXECUTABLE_NAME, executableName({ exe, args }));
  const runtime = runtimeName({ exe, args });
  if (runtime !== undefined) attributes.set(ATTR_PROCESS_RUNTIME_NAME, runtime);
  if (container?.id !== undefined) attributes.set(ATTR_CONTAINER_ID, container.id);
  if (container?.name !== undefined) attributes.set(ATTR_CONTAINER_NAME, container.name);
  const podUid = container?.id === undefined ? undefined : findPodUid(facts.cgroups);
  if (podUid !== undefined) attributes.set(ATTR_K8S_POD_UID, podUid);
  for (const [key, value] of given) attributes.set(key, value);
  attributes.set(ATTR_PROCESS_PID, facts.pid);
  const { protocols } = options;
  const name = serviceName.slice(0, VALUE_LENGTH_MAX);
  return { pid: facts.pid, serviceName: name, attributes, protocols };
}

/** A forked child is its parent's program under another process id. */
export function asChild(parent: SelectedProcess, pid: number): SelectedProcess {
  const attributes = new Map(parent.attributes);
  attributes.set(ATTR_PROCESS_PID, pid);
  return { ...parent, pid, attributes };
}

/** Another program in the same place, of which only the name is known. */
export function asProgram(
  before: SelectedProcess,
  name: string,
  targetName: string | undefined,
): SelectedProcess {
  const attributes = new Map(before.attributes);
  attributes.delete(ATTR_PROCESS_RUNTIME_NAME);
  attributes.set(ATTR_PROCESS_EXECUTABLE_NAME, name);
  return { ...before, serviceName: targetName ?? name, attributes };
}

export function isSameIdentity(one: SelectedProcess, other: SelectedProcess): boolean {
  if (one.serviceName !== other.serviceName) return false;
  if (one.protocols !== other.protocols) return false;
  if (one.attributes.size !== other.attributes.size) return false;
  for (const [key, value] of one.attributes) if (other.attributes.get(key) !== value) return false;
  return true;
}

/**
 * `key=value,key=value`, percent-encoded; one error discards the whole text
 * (OpenTelemetry's resource SDK specification, "Specifying resource information via an
 * environment variable").
 */
export function parseResourceAttributes(text: string): Map<string, string> {
  const attributes = new Map<string, string>();
  for (const pair of text.split(",")) {
    if (pair.trim() === "") continue;
    const at = pair.indexOf("=");
    const key = pair.slice(0, at).trim();
    if (at < 0 || key === "") return new Map();
    try {
      const value = decodeURIComponent(pair.slice(at + 1).trim());
      if (attributes.size < ATTRIBUTES_MAX) {
        attributes.set(decodeURIComponent(key), value.slice(0, VALUE_LENGTH_MAX));
      }
    } catch {
      return new Map();
    }
  }
  return attributes;
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text.trim() === "" ? undefined : text.trim();
}
