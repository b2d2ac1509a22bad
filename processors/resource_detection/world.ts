// SPDX-License-Identifier: Apache-2.0

import { lookup, reverse } from "node:dns/promises";
import { readFileSync } from "node:fs";
import { request } from "node:http";

const ANSWER_BYTES_MAX = 1 << 20;
const LINK_LOCAL = "http://169.254.169.254";

export interface Asked {
  readonly method?: "GET" | "PUT";
  readonly headers?: Readonly<Record<string, string>>;
  readonly socketPath?: string;
  readonly signal: AbortSignal;
}

/** What detectors read; tests give their own. */
export interface World {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly readFile: (path: string) => string;
  /** The body of an answer with status 200; rejects otherwise. */
  readonly ask: (url: string, asked: Asked) => Promise<string>;
  /** The machine's full name by DNS. */
  readonly fullHostName: (name: string) => Promise<string | undefined>;
  /** Base URLs of the clouds' metadata services. */
  readonly metadata: { readonly aws: string; readonly gcp: string; readonly azure: string };
}

export function processWorld(): World {
  const { env } = process;
  const gcpHost = env["GCE_METADATA_HOST"];
  return {
    env,
    readFile: (path) => readFileSync(path, "utf8"),
    ask,
    fullHostName,
    metadata: {
      aws: env["AWS_EC2_METADATA_SERVICE_ENDPOINT"]?.replace(/\/$/, "") ?? LINK_LOCAL,
      gcp: gcpHost === undefined ? "http://metadata.google.internal" : `http://${gcpHost}`,
      azure: LINK_LOCAL,
    },
  };
}

/** Never through a proxy: metadata services answer on the machine's own link. */
function ask(url: string, asked: Asked): Promise<string> {
  const { method = "GET", headers = {}, socketPath, signal } = asked;
  return new Promise((resolve, reject) => {
    const options = { method, headers, signal, ...(socketPath && { socketPath }) };
    const sent = request(url, options, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (text: string) => {
        body += text;
        if (body.length > ANSWER_BYTES_MAX) response.destroy(new Error("the answer is too long"));
      });
      response.on("error", reject);
      response.on("end", () => {
        if (response.statusCode === 200) resolve(body);
        else reject(new Error(`${method} ${url}: status ${response.statusCode}`));
      });
    });
    sent.on("error", reject).end();
  });
}

async function fullHostName(name: string): Promise<string | undefined> {
  const { address } = await lookup(name);
  const names = await reverse(address);
  return names.find((candidate) => candidate.includes("."))?.replace(/\.$/, "");
}
