// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { type JsonObject, listOf, objectOf, textOf } from "../../src/kubernetes/json.ts";

export const DEPLOY: string = join(import.meta.dirname, "..", "..", "deploy");

/** The objects of a file in `deploy/kubernetes`. */
export function objectsIn(file: string): readonly JsonObject[] {
  const text = readFileSync(join(DEPLOY, "kubernetes", file), "utf8");
  return parseAllDocuments(text).map((document) => {
    if (document.errors[0] !== undefined) throw document.errors[0];
    return objectOf(document.toJS());
  });
}

/** All objects that `kubectl apply -k` would send. */
export function allObjects(): readonly JsonObject[] {
  const [kustomization = {}] = objectsIn("kustomization.yaml");
  return listOf(kustomization["resources"]).flatMap((file) => objectsIn(textOf(file)));
}

export function nameOf(object: JsonObject): string {
  return textOf(objectOf(object["metadata"])["name"]);
}

/** The agent's configuration in the ConfigMap of this name. */
export function configIn(name: string): string {
  const found = allObjects().find(
    (object) => object["kind"] === "ConfigMap" && nameOf(object) === name,
  );
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
