// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import { AgentError, messageOf } from "../../src/component/errors.ts";

/** The file's text as it is. Rejects with `AgentError`. */
export async function readCredentials(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    const message = `basicauth: cannot read "${path}": ${messageOf(cause)}`;
    throw new AgentError("BS_START", message, { cause });
  }
}
