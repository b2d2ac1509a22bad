// SPDX-License-Identifier: Apache-2.0
import { type Addresses, BACKEND_PORT, type NatBed, NODE_PORT, SERVICE_PORT } from "./nat-bed.ts";

export type RuleTool = "iptables" | "nft";

/** What the two routers do. */
export interface Translation {
  readonly addresses: Addresses;
  readonly tool: RuleTool;
  /** Outer: service → backends, or service → the inner router's port, and that → backends. */
  readonly layers: 1 | 2;
  /** Also hide the sender, with random ports. */
  readonly masquerade: boolean;
  readonly protocol?: "tcp" | "udp";
  /** Default: all. */
  readonly backends?: readonly (typeof BACKENDS)[number][];
  /** Default `SERVICE_PORT`, `BACKEND_PORT`. */
  readonly ports?: readonly [service: number, backend: number];
}

const BACKENDS = ["one", "two", "three"] as const;

/** As kube-proxy does it: the service's connections by turns to three backends. */
export function translate(bed: NatBed, translation: Translation): void {
  const { addresses, layers } = translation;
  const [servicePort, backendPort] = translation.ports ?? [SERVICE_PORT, BACKEND_PORT];
  const service = { address: addresses.service, port: servicePort };
  const backends = (translation.backends ?? BACKENDS).map((name) => ({
    address: addresses[name],
    port: backendPort,
  }));
  const node = { address: addresses.node, port: NODE_PORT };
  if (layers === 1) {
    // The inner router sees who asks for the service from behind it (hairpin).
    balance(bed, "outer", { translation, from: service, to: backends });
    balance(bed, "inner", { translation, from: service, to: backends });
  } else {
    balance(bed, "outer", { translation, from: service, to: [node] });
    balance(bed, "inner", { translation, from: node, to: backends });
  }
}

interface Target {
  readonly address: string;
  readonly port: number;
}

interface Balance {
  readonly translation: Translation;
  readonly from: Target;
  readonly to: readonly Target[];
}

function balance(bed: NatBed, router: "outer" | "inner", rules: Balance): void {
  if (rules.translation.tool === "nft") byNft(bed, router, rules);
  else byIptables(bed, router, rules);
}

function byIptables(bed: NatBed, router: "outer" | "inner", rules: Balance): void {
  const { translation, from, to } = rules;
  const { addresses, masquerade, protocol = "tcp" } = translation;
  const program = addresses.client.includes(":") ? "ip6tables" : "iptables";
  const nat = (...words: readonly string[]): string =>
    bed.inside(router, program, "-t", "nat", ...words);
  const match = ["-p", protocol, "-d", from.address, "--dport", String(from.port)];
  for (const [index, target] of to.entries()) {
    const left = to.length - index;
    const turn = ["-m", "statistic", "--mode", "nth", "--every", String(left), "--packet", "0"];
    const jump = ["-j", "DNAT", "--to-destination", `${inUrl(target.address)}:${target.port}`];
    nat("-A", "PREROUTING", ...match, ...(left === 1 ? [] : turn), ...jump);
  }
  if (!masquerade) return;
  for (const { address } of to) {
    nat("-A", "POSTROUTING", "-p", protocol, "-d", address, "-j", "MASQUERADE", "--random-fully");
  }
}

function byNft(bed: NatBed, router: "outer" | "inner", rules: Balance): void {
  const { translation, from, to } = rules;
  const { addresses, masquerade, protocol = "tcp" } = translation;
  const family = addresses.client.includes(":") ? "ip6" : "ip";
  const nft = (...words: readonly string[]): string => bed.inside(router, "nft", ...words);
  nft("add", "table", family, "nat");
  const hook = (name: string, priority: number): string =>
    `{ type nat hook ${name} priority ${priority} ; }`;
  nft("add", "chain", family, "nat", "pre", hook("prerouting", -100));
  nft("add", "chain", family, "nat", "post", hook("postrouting", 100));
  const turns = to.map(({ address, port }, index) => `${index} : ${address} . ${port}`);
  const target =
    to.length === 1
      ? `dnat to ${inUrl(to[0]?.address ?? "")}:${to[0]?.port}`
      : `dnat ${family} addr . port to numgen inc mod ${to.length} map { ${turns.join(", ")} }`;
  const match = `${family} daddr ${from.address} ${protocol} dport ${from.port}`;
  nft(`add rule ${family} nat pre ${match} ${target}`);
  if (!masquerade) return;
  const hidden = to.map(({ address }) => address).join(", ");
  nft(`add rule ${family} nat post ${family} daddr { ${hidden} } masquerade fully-random`);
}

function inUrl(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}
