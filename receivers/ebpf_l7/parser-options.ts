// SPDX-License-Identifier: Apache-2.0
import type { ProcessSelection } from "../../src/model/process.ts";
import type { ParserOptions } from "../../src/model/protocol.ts";
import type { EbpfL7Config } from "./config.ts";

/** Services whose routes are bounded one by one; further ones share a bound. */
const SERVICES_MAX = 1024;

/** One object a service: what a parser learns about routes hangs on its options. */
export function perService(
  config: EbpfL7Config,
  selection: Pick<ProcessSelection, "process">,
): (pid: number, isSecure: boolean) => ParserOptions {
  const plain = new Map<string, ParserOptions>();
  const secure = new Map<string, ParserOptions>();
  const serviceOf = boundedService(selection);
  return (pid, isSecure) => {
    const made = isSecure ? secure : plain;
    const name = serviceOf(pid);
    let options = made.get(name);
    if (options === undefined) {
      options = parserOptions(config, isSecure);
      made.set(name, options);
    }
    return options;
  };
}

/** Names of services; beyond the bound, none. */
export function boundedService(
  selection: Pick<ProcessSelection, "process">,
): (pid: number) => string {
  const seen = new Set<string>([""]);
  return (pid) => {
    const name = selection.process(pid)?.serviceName ?? "";
    if (seen.has(name)) return name;
    if (seen.size >= SERVICES_MAX) return "";
    seen.add(name);
    return name;
  };
}

function parserOptions(config: EbpfL7Config, isSecure: boolean): ParserOptions {
  return {
    headBytesMax: config.head_bytes_max,
    pipelinedMax: config.pipelined_max,
    urlQuery: config.url_query,
    requestHeaders: config.request_headers,
    responseHeaders: config.response_headers,
    routesMax: config.routes_max,
    rawStatements: config.raw_statements,
    isSecure,
  };
}
