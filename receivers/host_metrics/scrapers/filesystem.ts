// SPDX-License-Identifier: Apache-2.0
import { statfs } from "node:fs/promises";
import { passes } from "../name-filter.ts";
import type { ScrapeInputs, Scraper } from "./scraper.ts";

/** A network filesystem whose server is gone never answers. */
const STATFS_TIMEOUT_MS = 5_000;

interface Mount {
  readonly device: string;
  readonly mountpoint: string;
  readonly type: string;
  readonly mode: string;
}

export const scrapeFilesystem: Scraper = async (inputs) => {
  const seen = new Set<string>();
  for (const mount of mounts(inputs)) {
    const key = `${mount.device} ${mount.mountpoint}`;
    if (seen.has(key)) continue;
    seen.add(key);
    try {
      await addMount(inputs, mount);
    } catch (error) {
      inputs.failed(`filesystem usage of ${mount.mountpoint}`, error);
    }
  }
};

function mounts({ host, config }: ScrapeInputs): readonly Mount[] {
  const options = config.scrapers.filesystem;
  const physical = physicalTypes(host.tryRead("/proc/filesystems") ?? "");
  // Process 1 sees the host's mounts, this one those of its container.
  const text = host.tryRead("/proc/1/mountinfo") ?? host.read("/proc/self/mountinfo");
  return text
    .split("\n")
    .map(parseMount)
    .filter((mount) => mount !== undefined)
    .filter(
      ({ type, device, mountpoint }) =>
        (options?.include_virtual_filesystems === true || physical.has(type)) &&
        passes(device, options?.include_devices, options?.exclude_devices) &&
        passes(type, options?.include_fs_types, options?.exclude_fs_types) &&
        passes(mountpoint, options?.include_mount_points, options?.exclude_mount_points),
    );
}

/** Those that need a device, and ZFS. */
function physicalTypes(text: string): ReadonlySet<string> {
  const types = text
    .split("\n")
    .filter((line) => !line.startsWith("nodev"))
    .map((line) => line.trim());
  return new Set([...types, "zfs"]);
}

/** proc(5), /proc/PID/mountinfo: `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw`. */
function parseMount(line: string): Mount | undefined {
  const [before = "", after] = line.split(" - ");
  if (after === undefined) return undefined;
  const fields = before.split(" ");
  const [type = "", device = ""] = after.split(" ");
  const isReadOnly = (fields[5] ?? "").split(",").includes("ro");
  return {
    device: unescaped(device),
    mountpoint: unescaped(fields[4] ?? ""),
    type,
    mode: isReadOnly ? "ro" : "rw",
  };
}

function unescaped(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

async function addMount({ host, record }: ScrapeInputs, mount: Mount): Promise<void> {
  const stat = await inTime(statfs(host.path(mount.mountpoint)));
  const { bsize, blocks, bfree, bavail, files, ffree } = stat;
  const { device, mode, mountpoint, type } = mount;
  const attributes = { device, mode, mountpoint, type };
  if (blocks === 0) return;
  const states = { used: blocks - bfree, free: bavail, reserved: bfree - bavail };
  for (const [state, count] of Object.entries(states)) {
    record.add("system.filesystem.usage", count * bsize, { ...attributes, state });
  }
  const inodes = { used: files - ffree, free: ffree };
  for (const [state, count] of Object.entries(inodes)) {
    record.add("system.filesystem.inodes.usage", count, { ...attributes, state });
  }
  const available = states.used + bavail;
  record.add(
    "system.filesystem.utilization",
    available === 0 ? 0 : states.used / available,
    attributes,
  );
}

async function inTime<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("no answer")), STATFS_TIMEOUT_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
