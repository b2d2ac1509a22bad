// SPDX-License-Identifier: Apache-2.0
import { type JsonObject, listOf, objectOf, textOf } from "./json.ts";

/** A port of a Service as its clients ask for it. */
export interface FrontPort {
  readonly name: string;
  /** `TCP`, `UDP` or `SCTP`. */
  readonly protocol: string;
  readonly port: number;
  /** The same on every node; 0: none. */
  readonly nodePort: number;
}

/** What a Service can be asked by. */
export interface ServiceFront {
  /** `namespace/name`. */
  readonly key: string;
  /** Cluster addresses, external ones, and those of load balancers. */
  readonly addresses: readonly string[];
  readonly ports: readonly FrontPort[];
}

export interface EndpointSlice {
  /** The Service that it is of, `namespace/name`. */
  readonly service: string;
  readonly addresses: readonly string[];
  readonly ports: readonly {
    readonly name: string;
    readonly protocol: string;
    readonly port: number;
  }[];
}

/** Undefined for Services without an address of their own (headless, ExternalName). */
export function decodeServiceFront(object: JsonObject): ServiceFront | undefined {
  const meta = objectOf(object["metadata"]);
  const spec = objectOf(object["spec"]);
  const balancer = objectOf(objectOf(object["status"])["loadBalancer"]);
  const given = listOf(balancer["ingress"]).map((entry) => objectOf(entry)["ip"]);
  const all = [spec["clusterIP"], ...listOf(spec["clusterIPs"]), ...listOf(spec["externalIPs"])];
  const addresses = new Set([...all, ...given].map(textOf));
  addresses.delete("");
  addresses.delete("None");
  if (addresses.size === 0) return undefined;
  return {
    key: `${textOf(meta["namespace"])}/${textOf(meta["name"])}`,
    addresses: [...addresses],
    ports: listOf(spec["ports"]).map((entry) => {
      const port = objectOf(entry);
      return { ...portOf(port), nodePort: portNumber(port["nodePort"]) };
    }),
  };
}

/**
 * All endpoints, also those that are not ready: connections that are open stay with an endpoint that
 * terminates until it leaves the slice. Undefined for slices of no Service and of host names.
 */
export function decodeEndpointSlice(object: JsonObject): EndpointSlice | undefined {
  const meta = objectOf(object["metadata"]);
  const service = textOf(objectOf(meta["labels"])["kubernetes.io/service-name"]);
  if (service === "" || textOf(object["addressType"]) === "FQDN") return undefined;
  const endpoints = listOf(object["endpoints"]);
  const addresses = endpoints.flatMap((entry) => listOf(objectOf(entry)["addresses"]).map(textOf));
  return {
    service: `${textOf(meta["namespace"])}/${service}`,
    addresses: [...new Set(addresses)].filter((address) => address !== ""),
    ports: listOf(object["ports"]).map((entry) => portOf(objectOf(entry))),
  };
}

/** A node's addresses, where its NodePorts are. */
export function decodeNodeAddresses(object: JsonObject): readonly string[] {
  return listOf(objectOf(object["status"])["addresses"])
    .map(objectOf)
    .filter((entry) => /^(Internal|External)IP$/.test(textOf(entry["type"])))
    .map((entry) => textOf(entry["address"]))
    .filter((address) => address !== "");
}

function portOf(port: JsonObject): { name: string; protocol: string; port: number } {
  const protocol = textOf(port["protocol"]) || "TCP";
  return { name: textOf(port["name"]), protocol, port: portNumber(port["port"]) };
}

function portNumber(value: unknown): number {
  return typeof value === "number" && value > 0 && value < 65_536 ? value : 0;
}
