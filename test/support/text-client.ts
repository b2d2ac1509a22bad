// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import { connect } from "node:net";
import { eventually } from "./eventually.ts";

/** A client of a text protocol that a test speaks by hand. */
export interface TextClient {
  send(text: string): void;
  /** Waits until all that came so far matches, and returns it. */
  received(pattern: RegExp): Promise<string>;
  close(): Promise<void>;
}

export async function connectText(port: number): Promise<TextClient> {
  const socket = connect(port, "127.0.0.1");
  socket.setNoDelay(true);
  let text = "";
  socket.on("data", (bytes) => {
    text += bytes.toString("latin1");
  });
  await once(socket, "connect");
  return {
    send: (line) => {
      socket.write(line, "latin1");
    },
    received: (pattern) =>
      eventually(
        async () => text,
        (all) => pattern.test(all),
      ),
    close: async () => {
      socket.end();
      await once(socket, "close");
    },
  };
}
