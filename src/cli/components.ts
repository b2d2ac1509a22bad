// SPDX-License-Identifier: Apache-2.0
import { stringify } from "yaml";
import type { Factory } from "../component/component.ts";
import { SCHEMES } from "../config/providers.ts";

/** What `backstitch components` prints: YAML, sorted by name, as the Collector's. */
export function componentsText(factories: readonly Factory[], version: string): string {
  const list = (kind: Factory["kind"]) =>
    factories
      .filter((factory) => factory.kind === kind)
      .map((factory) => ({
        name: factory.type,
        module: `backstitch/${kind}s/${factory.type} v${version}`,
        stability: stabilityOf(factory),
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  return stringify({
    buildinfo: {
      command: "backstitch",
      description: "An OpenTelemetry agent that traces services without touching them",
      version,
    },
    receivers: list("receiver"),
    processors: list("processor"),
    exporters: list("exporter"),
    connectors: list("connector"),
    extensions: list("extension"),
    providers: SCHEMES.map((scheme) => ({
      scheme,
      module: `backstitch/config/${scheme} v${version}`,
    })),
  });
}

function stabilityOf(factory: Factory): Record<string, string> {
  const level = factory.stability.charAt(0).toUpperCase() + factory.stability.slice(1);
  return Object.fromEntries(keysOf(factory).map((key) => [key, level]));
}

function keysOf(factory: Factory): readonly string[] {
  switch (factory.kind) {
    case "extension":
      return ["extension"];
    case "connector":
      return factory.pairs.map(({ from, to }) => `${from}-to-${to}`);
    default:
      return factory.signals;
  }
}
