// SPDX-License-Identifier: Apache-2.0

interface Operation {
  readonly name: string;
  /** The request begins with a path. */
  readonly hasPath: boolean;
}

/** `org.apache.zookeeper.ZooDefs.OpCode` */
const OPERATIONS: ReadonlyMap<number, Operation> = new Map(
  [
    [1, "create", true],
    [2, "delete", true],
    [3, "exists", true],
    [4, "getData", true],
    [5, "setData", true],
    [6, "getACL", true],
    [7, "setACL", true],
    [8, "getChildren", true],
    [9, "sync", true],
    [11, "ping", false],
    [12, "getChildren2", true],
    [13, "check", true],
    [14, "multi", false],
    [15, "create2", true],
    [16, "reconfig", false],
    [17, "checkWatches", true],
    [18, "removeWatches", true],
    [19, "createContainer", true],
    [20, "deleteContainer", true],
    [21, "createTTL", true],
    [22, "multiRead", false],
    [100, "auth", false],
    [101, "setWatches", false],
    [102, "sasl", false],
    [103, "getEphemerals", true],
    [104, "getAllChildrenNumber", true],
    [105, "setWatches2", false],
    [106, "addWatch", true],
    [107, "whoAmI", false],
    [-11, "closeSession", false],
  ].flatMap(([code, name, hasPath]) =>
    typeof code === "number" && typeof name === "string" && typeof hasPath === "boolean"
      ? [[code, { name, hasPath }] as const]
      : [],
  ),
);

export const PING = 11;
export const CLOSE_SESSION = -11;

export function operationOf(code: number): Operation | undefined {
  return OPERATIONS.get(code);
}

/** `org.apache.zookeeper.KeeperException.Code` */
const ERRORS: ReadonlyMap<number, string> = new Map([
  [-1, "SYSTEMERROR"],
  [-2, "RUNTIMEINCONSISTENCY"],
  [-3, "DATAINCONSISTENCY"],
  [-4, "CONNECTIONLOSS"],
  [-5, "MARSHALLINGERROR"],
  [-6, "UNIMPLEMENTED"],
  [-7, "OPERATIONTIMEOUT"],
  [-8, "BADARGUMENTS"],
  [-12, "UNKNOWNSESSION"],
  [-13, "NEWCONFIGNOQUORUM"],
  [-14, "RECONFIGINPROGRESS"],
  [-100, "APIERROR"],
  [-101, "NONODE"],
  [-102, "NOAUTH"],
  [-103, "BADVERSION"],
  [-108, "NOCHILDRENFOREPHEMERALS"],
  [-110, "NODEEXISTS"],
  [-111, "NOTEMPTY"],
  [-112, "SESSIONEXPIRED"],
  [-113, "INVALIDCALLBACK"],
  [-114, "INVALIDACL"],
  [-115, "AUTHFAILED"],
  [-118, "SESSIONMOVED"],
  [-119, "NOTREADONLY"],
  [-120, "EPHEMERALONLOCALSESSION"],
  [-121, "NOWATCHER"],
  [-122, "REQUESTTIMEOUT"],
  [-123, "RECONFIGDISABLED"],
  [-124, "SESSIONCLOSEDREQUIRESASLAUTH"],
  [-125, "QUOTAEXCEEDED"],
  [-127, "THROTTLEDOP"],
]);

export function errorName(code: number): string {
  return ERRORS.get(code) ?? `error_${code}`;
}

/** The first part of a path stays; what is below it may hold names and ids. */
export function obfuscatedPath(path: string): string {
  const [, first = "", ...others] = path.split("/");
  return `/${[first, ...others.map(() => "?")].join("/")}`;
}
