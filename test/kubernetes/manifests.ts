// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { type JsonObject, listOf, objectOf, textOf } from "../../src/kubernetes/json.ts";

export const DEPLOY: string = join(import.meta.dirname, "..", "..", "deploy");

const CHART = join(DEPLOY, "helm", "backstitch");

function objectsOf(text: string): readonly JsonObject[] {
  return parseAllDocuments(text).map((document) => {
    if (document.errors[0] !== undefined) throw document.errors[0];
    return objectOf(document.toJS());
  });
}

/** The objects of a file in `deploy/kubernetes`. */
export function objectsIn(file: string): readonly JsonObject[] {
  return objectsOf(readFileSync(join(DEPLOY, "kubernetes", file), "utf8"));
}

/** Runs the Helm of test/helm on our chart; gives what it says. */
export function helm(command: readonly string[], sets: readonly string[]): string {
  const build = join(import.meta.dirname, "..", "helm", "build.sh");
  const program = execFileSync(build, { encoding: "utf8" }).trim();
  const given = sets.flatMap((one) => ["--set", one]);
  const args = [...command, CHART, "--namespace", "backstitch", ...given];
  return execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** Values that make all that the chart can make. */
export const ALL_VALUES: readonly string[] = [
  "gateway.replicas=3,gateway.serviceGraph=true,agent.natRewrite=true",
  "image.pullSecrets[0].name=registry,gateway.tolerations[0].operator=Exists",
  "agent.nodeSelector.pool=apps,gateway.nodeSelector.pool=system",
];

/** What `helm install` would send. */
export function chartObjects(sets: readonly string[]): readonly JsonObject[] {
  return objectsOf(helm(["template", "shop"], sets));
}

/** All objects that `kubectl apply -k` would send. */
export function allObjects(): readonly JsonObject[] {
  const [kustomization = {}] = objectsIn("kustomization.yaml");
  return listOf(kustomization["resources"]).flatMap((file) => objectsIn(textOf(file)));
}

export function nameOf(object: JsonObject): string {
  return textOf(objectOf(object["metadata"])["name"]);
}

/** The configuration in the ConfigMap of this name. */
export function configIn(name: string, objects: readonly JsonObject[] = allObjects()): string {
  const found = objects.find((object) => object["kind"] === "ConfigMap" && nameOf(object) === name);
  return textOf(objectOf(found?.["data"])["config.yaml"]);
}

const PLURALS: Readonly<Record<string, string>> = {
  Namespace: "namespaces",
  ConfigMap: "configmaps",
  Service: "services",
  ServiceAccount: "serviceaccounts",
  DaemonSet: "daemonsets",
  Deployment: "deployments",
  ClusterRole: "clusterroles",
  ClusterRoleBinding: "clusterrolebindings",
};

/** Where the API has an object. */
export function pathOf(object: JsonObject): string {
  const version = textOf(object["apiVersion"]);
  const group = version.includes("/") ? `/apis/${version}` : `/api/${version}`;
  const namespace = textOf(objectOf(object["metadata"])["namespace"]);
  const plural = PLURALS[textOf(object["kind"])] ?? "";
  return `${group}${namespace === "" ? "" : `/namespaces/${namespace}`}/${plural}/${nameOf(object)}`;
}
