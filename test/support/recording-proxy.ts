// SPDX-License-Identifier: Apache-2.0
import { connect, createServer, type Socket } from "node:net";

interface RecordedPart {
  readonly from: "client" | "server";
  readonly bytes: Buffer;
}

/** What went over one connection, in the order in which the proxy saw it. */
export interface RecordedConnection {
  readonly parts: readonly RecordedPart[];
}

/** A TCP proxy on loopback that writes down what real clients and servers say to each other. */
export interface RecordingProxy {
  /** Clients connect here. */
  readonly port: number;
  /** In the order of their beginning. */
  readonly connections: readonly RecordedConnection[];
  [Symbol.asyncDispose](): Promise<void>;
}

/** `targetPort`: the real server's on `host`. `port`: where to listen, by default a free one. */
export async function startRecordingProxy(
  targetPort: number,
  port = 0,
  host = "127.0.0.1",
): Promise<RecordingProxy> {
  const connections: { readonly parts: RecordedPart[] }[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const parts: RecordedPart[] = [];
    connections.push({ parts });
    const upstream = connect(targetPort, host);
    for (const socket of [client, upstream]) {
      const other = socket === client ? upstream : client;
      const from = socket === client ? "client" : "server";
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("data", (bytes) => {
        parts.push({ from, bytes });
        other.write(bytes);
      });
      socket.on("end", () => other.end());
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        other.destroy();
        sockets.delete(socket);
      });
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    connections,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}
