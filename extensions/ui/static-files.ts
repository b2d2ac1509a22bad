// SPDX-License-Identifier: Apache-2.0
import { readFile, stat } from "node:fs/promises";
import { extname, join, normalize } from "node:path";

const TYPES: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".ico": "image/x-icon",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".map": "application/json; charset=utf-8",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".woff2": "font/woff2",
};
const FILE_BYTES_MAX = 16 * 1024 * 1024;
const ENCODINGS = [
  ["br", ".br"],
  ["gzip", ".gz"],
] as const;

export interface StaticFile {
  readonly body: Uint8Array;
  readonly contentType: string;
  /** "" when the file is not compressed. */
  readonly encoding: string;
  readonly etag: string;
}

/**
 * A file of the page's folder; `index.html` for paths of the page. Undefined when there is none.
 * `NAME.br` and `NAME.gz` beside a file are taken when the client accepts them.
 */
export async function staticFile(
  folder: string,
  { path, accepted }: { readonly path: string; readonly accepted: string },
): Promise<StaticFile | undefined> {
  const clean = normalize(`/${path}`);
  if (clean.includes("\0")) return undefined;
  const name = extname(clean) === "" ? "/index.html" : clean;
  const contentType = TYPES[extname(name)];
  if (contentType === undefined) return undefined;
  const tokens = accepted.split(",").map((token) => token.split(";", 1)[0]?.trim());
  for (const [encoding, suffix] of ENCODINGS) {
    if (!tokens.includes(encoding)) continue;
    const packed = await readWhole(join(folder, `${name}${suffix}`));
    if (packed !== undefined) return { ...packed, contentType, encoding };
  }
  const plain = await readWhole(join(folder, name));
  return plain && { ...plain, contentType, encoding: "" };
}

async function readWhole(path: string): Promise<Pick<StaticFile, "body" | "etag"> | undefined> {
  try {
    const { size, mtimeMs } = await stat(path);
    if (size > FILE_BYTES_MAX) return undefined;
    return { body: await readFile(path), etag: `"${size.toString(36)}-${mtimeMs.toString(36)}"` };
  } catch {
    return undefined;
  }
}
