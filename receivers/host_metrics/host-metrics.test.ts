// SPDX-License-Identifier: Apache-2.0
/** Against a host made of files: what they hold is what must come out. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { BehaviorSubject, firstValueFrom } from "rxjs";
import { z } from "zod";
import { toOtlpJson } from "../../src/pdata/json-encode.ts";
import { REQUESTS } from "../../src/pdata/requests.ts";
import { createMemoryTelemetry } from "../../src/telemetry/memory-telemetry.ts";
import { metricsOf, SCRAPERS, type ScraperName } from "./catalogue.ts";
import { configSchema } from "./config.ts";
import { HostMetricsReceiver } from "./host-metrics.ts";

const FILES: Readonly<Record<string, string>> = {
  "/proc/stat": `cpu  300 20 60 2000 8 4 2 6 0 0
cpu0 100 10 20 1000 5 3 1 2 0 0
cpu1 200 10 40 1000 3 1 1 4 0 0
ctxt 12345
btime 1700000000
processes 4321
`,
  "/proc/cpuinfo": `processor\t: 0
physical id\t: 0
core id\t\t: 0
cpu MHz\t\t: 2500.500

processor\t: 1
physical id\t: 0
core id\t\t: 0
cpu MHz\t\t: 2400.000
`,
  "/proc/loadavg": "0.50 0.40 0.20 1/100 999\n",
  "/proc/uptime": "1234.56 2000.00\n",
  "/proc/meminfo": `MemTotal:        1000 kB
MemFree:          300 kB
MemAvailable:     600 kB
Buffers:           50 kB
Cached:           200 kB
Dirty:              7 kB
SReclaimable:      40 kB
SUnreclaim:        10 kB
`,
  "/proc/diskstats": `   8       0 sda 10 1 100 500 20 2 200 1500 3 900 2000 0 0 0 0
   8       1 sda1 5 0 50 250 10 1 100 750 1 450 1000 0 0 0 0
`,
  "/proc/1/net/dev": `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 1000 10 0 0 0 0 0 0 1000 10 0 0 0 0 0 0
  eth0:2000 20 1 2 0 0 0 0 3000 30 3 4 0 0 0 0
`,
  "/proc/1/net/tcp": `  sl  local_address rem_address   st tx_queue
   0: 0100007F:0016 00000000:0000 0A 00000000:00000000
   1: 0100007F:0016 0100007F:C350 01 00000000:00000000
`,
  "/proc/1/net/tcp6": "  sl  local_address\n   0: 00:0016 00:0000 0A 0:0\n",
  "/proc/sys/net/netfilter/nf_conntrack_count": "17\n",
  "/proc/swaps": "Filename Type Size Used Priority\n/dev/sdb partition 1000 250 -2\n",
  "/proc/vmstat": "pgpgin 5\npgpgout 6\npswpin 1\npswpout 2\npgfault 100\npgmajfault 30\n",
  "/proc/filesystems": "nodev\ttmpfs\n\text4\n",
  "/proc/1/mountinfo": `30 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
31 1 0:5 / /tmp rw - tmpfs tmpfs rw
32 1 8:2 / /with\\040blank ro - ext4 /dev/sda2 ro
`,
  "/with blank/file": "",
  "/etc/passwd": "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n",
  "/proc/1/stat": stat(1, "init", "S", 0),
  "/proc/1/status": "Name:\tinit\nUid:\t0\t0\t0\t0\nVmRSS:\t     10 kB\nSigQ:\t0/100\n",
  "/proc/1/cmdline": "/sbin/init\0",
  "/proc/42/stat": stat(42, "a) strange (name", "R", 1),
  "/proc/42/status": `Name:\tserver
Uid:\t1000\t1000\t1000\t1000
VmRSS:\t     20 kB
SigQ:\t2/100
voluntary_ctxt_switches:\t7
nonvoluntary_ctxt_switches:\t8
`,
  "/proc/42/cmdline": "/usr/bin/server\0--port\0" + "80\0",
  "/proc/42/io": "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 4096\nwrite_bytes: 8192\n",
  "/proc/42/fd/0": "",
  "/proc/42/fd/1": "",
};

/** Field 14 is 150 ticks of user time, 15 is 50, 20 is 3 threads, 22 starts 10 s after boot. */
function stat(pid: number, name: string, state: string, parent: number): string {
  const rest = [parent, 0, 0, 0, 0, 0, 11, 0, 5, 0, 150, 50, 0, 0, 20, 0, 3, 0, 1000, 65_536, 9];
  const more = Array.from({ length: 17 }, () => 0);
  return `${pid} (${name}) ${state} ${[...rest, ...more, 25, 0, 0].join(" ")}\n`;
}

function fakeHost(t: TestContext): string {
  const root = mkdtempSync(join(tmpdir(), "backstitch-host-"));
  t.after(() => rmSync(root, { recursive: true }));
  for (const [path, text] of Object.entries(FILES)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  symlinkSync("/usr/bin/server", join(root, "/proc/42/exe"));
  return root;
}

const number = z.object({ asInt: z.string().optional(), asDouble: z.number().optional() });
const keyValue = z.object({
  key: z.string(),
  value: z.object({ stringValue: z.string().optional(), intValue: z.string().optional() }),
});
const points = z.object({
  dataPoints: z.array(
    number.extend({
      attributes: z.array(keyValue).default([]),
      startTimeUnixNano: z.string().optional(),
    }),
  ),
  isMonotonic: z.boolean().optional(),
});
const requestSchema = z.object({
  resourceMetrics: z.array(
    z.object({
      resource: z.object({ attributes: z.array(keyValue).default([]) }).prefault({}),
      scopeMetrics: z.array(
        z.object({
          metrics: z.array(
            z.object({ name: z.string(), sum: points.optional(), gauge: points.optional() }),
          ),
        }),
      ),
    }),
  ),
});

type Series = ReadonlyMap<string, number>;

interface Scraped {
  /** `name{key=value,…}` to value; a process's have its pid in front. */
  readonly series: Series;
  readonly starts: ReadonlyMap<string, string | undefined>;
  readonly items: number;
}

async function scrape(
  t: TestContext,
  scrapers: Partial<Record<ScraperName, unknown>>,
  root: string = fakeHost(t),
): Promise<Scraped> {
  const { telemetry } = createMemoryTelemetry();
  const receiver = new HostMetricsReceiver(
    {
      id: "host_metrics",
      telemetry,
      buildInfo: { version: "0" },
      signals: new Set(["metrics"]),
      demand: new BehaviorSubject(true),
    },
    configSchema.parse({ root_path: root, initial_delay: "1ms", scrapers }),
  );
  const first = firstValueFrom(receiver.output());
  await receiver.start();
  const batch = await first;
  await receiver.shutdown();
  const json = toOtlpJson(REQUESTS.metrics.request, Buffer.concat(batch.chunks));
  assert.ok(json.ok);
  const request = requestSchema.parse(JSON.parse(json.json));
  const series = new Map<string, number>();
  const starts = new Map<string, string | undefined>();
  for (const { resource, scopeMetrics } of request.resourceMetrics) {
    const pid = resource.attributes.find(({ key }) => key === "process.pid")?.value.intValue;
    for (const { name, sum, gauge } of scopeMetrics.flatMap((scope) => scope.metrics)) {
      for (const point of (sum ?? gauge)?.dataPoints ?? []) {
        const labels = point.attributes.map(({ key, value }) => `${key}=${value.stringValue}`);
        const own = pid === undefined ? "" : `${pid} `;
        const key = `${own}${name}${labels.length === 0 ? "" : `{${labels.join(",")}}`}`;
        series.set(key, point.asDouble ?? Number(point.asInt));
        starts.set(key, point.startTimeUnixNano);
      }
    }
  }
  return { series, starts, items: batch.items };
}

/** All metrics of the scraper switched on. */
function everything(scraper: ScraperName): Record<string, unknown> {
  return {
    metrics: Object.fromEntries(metricsOf(scraper).map(({ name }) => [name, { enabled: true }])),
  };
}

function includes(series: Series, expected: Readonly<Record<string, number>>): void {
  for (const [key, value] of Object.entries(expected)) assert.equal(series.get(key), value, key);
}

test("cpu: seconds by state, and the processors", async (t) => {
  const { series, starts } = await scrape(t, { cpu: everything("cpu") });
  includes(series, {
    "system.cpu.time{cpu=cpu0,state=user}": 1,
    "system.cpu.time{cpu=cpu1,state=idle}": 10,
    "system.cpu.time{cpu=cpu0,state=wait}": 0.05,
    "system.cpu.logical.count": 2,
    "system.cpu.physical.count": 1,
    "system.cpu.frequency{cpu=cpu0}": 2_500_500_000,
  });
  assert.equal(starts.get("system.cpu.time{cpu=cpu0,state=user}"), "1700000000000000000");
  assert.equal(
    [...series.keys()].some((key) => key.includes("utilization")),
    false,
  );
});

test("memory, load, system and paging", async (t) => {
  const scrapers = {
    memory: everything("memory"),
    load: { cpu_average: true },
    system: null,
    paging: everything("paging"),
  };
  const { series, items } = await scrape(t, scrapers);
  includes(series, {
    "system.memory.usage{state=used}": (1000 - 300 - 50 - 240) * 1024,
    "system.memory.usage{state=cached}": 240 * 1024,
    "system.memory.utilization{state=free}": 0.3,
    "system.memory.limit": 1_024_000,
    "system.linux.memory.available": 600 * 1024,
    "system.cpu.load_average.1m": 0.25,
    "system.uptime": 1234.56,
    "system.paging.usage{device=/dev/sdb,state=free}": 750 * 1024,
    "system.paging.utilization{device=/dev/sdb,state=used}": 0.25,
    "system.paging.operations{direction=page_out,type=major}": 2,
    "system.paging.faults{type=minor}": 70,
  });
  assert.equal(items, series.size);
});

test("disk and network: what is included and not excluded", async (t) => {
  const { series } = await scrape(t, {
    disk: { exclude: { devices: ["^sda\\d$"], match_type: "regexp" } },
    network: { ...everything("network"), include: { interfaces: ["eth0"], match_type: "strict" } },
  });
  includes(series, {
    "system.disk.io{device=sda,direction=read}": 51_200,
    "system.disk.operations{device=sda,direction=write}": 20,
    "system.disk.operation_time{device=sda,direction=write}": 1.5,
    "system.disk.io_time{device=sda}": 0.9,
    "system.disk.weighted_io_time{device=sda}": 2,
    "system.disk.pending_operations{device=sda}": 3,
    "system.network.io{device=eth0,direction=transmit}": 3000,
    "system.network.errors{device=eth0,direction=receive}": 1,
    "system.network.dropped{device=eth0,direction=transmit}": 4,
    "system.network.connections{protocol=tcp,state=LISTEN}": 2,
    "system.network.connections{protocol=tcp,state=ESTABLISHED}": 1,
    "system.network.connections{protocol=tcp,state=CLOSING}": 0,
    "system.network.conntrack.count": 17,
  });
  assert.equal(
    [...series.keys()].some((key) => /sda1|device=lo/.test(key)),
    false,
  );
});

test("filesystem: those with a device, by their mount points", async (t) => {
  const { series } = await scrape(t, { filesystem: everything("filesystem") });
  const root = "{device=/dev/sda1,mode=rw,mountpoint=/,type=ext4";
  assert.ok((series.get(`system.filesystem.usage${root},state=used}`) ?? 0) > 0);
  assert.ok((series.get(`system.filesystem.utilization${root}}`) ?? 2) <= 1);
  const blank = "{device=/dev/sda2,mode=ro,mountpoint=/with blank,type=ext4,state=free}";
  assert.ok(series.has(`system.filesystem.inodes.usage${blank}`));
  assert.equal(
    [...series.keys()].some((key) => key.includes("tmpfs")),
    false,
  );
});

test("process and processes: each its resource, whatever its name holds", async (t) => {
  const mute = { mute_process_all_errors: true };
  const { series, starts } = await scrape(t, {
    process: { ...everything("process"), ...mute },
    processes: null,
  });
  includes(series, {
    "42 process.cpu.time{state=user}": 1.5,
    "42 process.cpu.time{state=wait}": 0.25,
    "42 process.memory.usage": 20_480,
    "42 process.memory.virtual": 65_536,
    "42 process.disk.io{direction=write}": 8192,
    "42 process.disk.operations{direction=read}": 3,
    "42 process.threads": 3,
    "42 process.paging.faults{type=major}": 5,
    "42 process.context_switches{type=involuntary}": 8,
    "42 process.signals_pending": 2,
    "42 process.open_file_descriptors": 2,
    "1 process.memory.usage": 10_240,
    "system.processes.count{status=running}": 1,
    "system.processes.count{status=sleeping}": 1,
    "system.processes.created": 4321,
  });
  assert.equal(starts.get("42 process.threads"), "1700000010000000000");
});

test("process: by name", async (t) => {
  const { series } = await scrape(t, {
    process: { include: { names: ["serv.*"], match_type: "regexp" } },
  });
  assert.deepEqual(new Set([...series.keys()].map((key) => key.split(" ")[0])), new Set(["42"]));
});

test("a scraper that can read nothing leaves the others", async (t) => {
  const root = fakeHost(t);
  rmSync(join(root, "/proc/meminfo"));
  const { series } = await scrape(t, { memory: null, load: null }, root);
  assert.deepEqual([...series.keys()].length, 3);
});

test("the host itself can be read", async (t) => {
  const { series } = await scrape(t, { cpu: null, load: null, memory: null }, "");
  assert.ok((series.get("system.cpu.time{cpu=cpu0,state=user}") ?? 0) > 0);
  assert.ok((series.get("system.memory.usage{state=used}") ?? 0) > 0);
});

test("a configuration without a scraper, or with an unknown metric, is refused", () => {
  for (const scrapers of [{}, { cpu: { metrics: { "system.cpu.tim": {} } } }, { gpu: {} }]) {
    assert.equal(configSchema.safeParse({ scrapers }).success, false);
  }
  for (const name of SCRAPERS) {
    assert.equal(configSchema.safeParse({ scrapers: { [name]: null } }).success, true, name);
  }
});
