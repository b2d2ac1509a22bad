// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createServer } from "node:net";

const TCP_LISTEN = "0A";

/**
 * The TCP ports on which a process listens itself, ascending; empty when it has ended. Read from
 * /proc, so it works in any network namespace and opens no connection.
 */
export function listeningPorts(pid: number): readonly number[] {
  const inodes = socketInodes(pid);
  const ports = new Set<number>();
  for (const table of ["tcp", "tcp6"]) {
    for (const line of lines(`/proc/${pid}/net/${table}`).slice(1)) {
      // sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode (Linux: proc_net_tcp)
      const fields = line.trim().split(/\s+/);
      if (fields[3] !== TCP_LISTEN || !inodes.has(fields[9] ?? "")) continue;
      ports.add(Number.parseInt(fields[1]?.split(":")[1] ?? "", 16));
    }
  }
  return [...ports].sort((a, b) => a - b);
}

function lines(file: string): readonly string[] {
  try {
    return readFileSync(file, "utf8").split("\n");
  } catch {
    return [];
  }
}

function socketInodes(pid: number): ReadonlySet<string> {
  const inodes = new Set<string>();
  try {
    for (const fd of readdirSync(`/proc/${pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
      if (inode !== undefined) inodes.add(inode);
    }
  } catch {
    // It ended, or closed a descriptor between the two calls: the caller looks again.
  }
  return inodes;
}

/** Ports that were free on the loopback addresses a moment ago, all different. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  try {
    return await Promise.all(servers.map(async (server) => await listen(server, 0)));
  } finally {
    for (const server of servers) server.close();
  }
}

/** Whether nobody listens on this port of 127.0.0.1. */
export async function isPortFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await listen(server, port);
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}

function listen(server: ReturnType<typeof createServer>, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      if (address === null || typeof address === "string") reject(new Error("no TCP address"));
      else resolve(address.port);
    });
  });
}
