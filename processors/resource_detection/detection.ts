// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from "node:timers/promises";
import { AgentError, messageOf } from "../../src/component/errors.ts";
import type { Logger } from "../../src/component/telemetry.ts";
import { detectAks, detectAzure, detectEc2, detectEks, detectGcp } from "./cloud-detectors.ts";
import type { DetectorName, ResourceDetectionConfig, Switches } from "./config.ts";
import {
  type Detected,
  type Detection,
  detectContainer,
  detectDocker,
  detectEnv,
  detectHost,
  detectOs,
  detectProcess,
} from "./host-detectors.ts";
import type { World } from "./world.ts";

const RETRY_MIN_MS = 200;
const RETRY_MAX_MS = 2_000;

interface Detector {
  readonly run: (detection: Detection) => Promise<Detected>;
  /** Added unless switched off; undefined is all. */
  readonly defaults?: readonly string[];
  readonly switches?: (config: ResourceDetectionConfig) => Switches;
  /** What fails is elsewhere and may come: tried again. */
  readonly isRemote?: boolean;
}

const systemSwitches = (config: ResourceDetectionConfig): Switches =>
  config.system.resource_attributes;
const gcp: Detector = {
  run: detectGcp,
  switches: (config) => config.gcp.resource_attributes,
  isRemote: true,
};
const NO_SWITCHES: Switches = new Map();

const DETECTORS: Readonly<Record<DetectorName, Detector>> = {
  env: { run: detectEnv },
  system: {
    run: async (detection) => {
      const [host, os] = await Promise.all([detectHost(detection), detectOs(detection)]);
      return new Map([...host, ...os]);
    },
    defaults: ["host.name", "os.type"],
    switches: systemSwitches,
  },
  host: {
    run: detectHost,
    defaults: ["host.name", "host.id", "host.arch"],
    switches: systemSwitches,
  },
  os: {
    run: detectOs,
    defaults: ["os.type", "os.description", "os.name", "os.version"],
    switches: systemSwitches,
  },
  process: { run: detectProcess },
  container: { run: detectContainer },
  docker: {
    run: detectDocker,
    defaults: ["host.name", "os.type"],
    switches: (config) => config.docker.resource_attributes,
    isRemote: true,
  },
  ec2: { run: detectEc2, switches: (config) => config.ec2.resource_attributes, isRemote: true },
  eks: {
    run: detectEks,
    defaults: ["cloud.provider", "cloud.platform"],
    switches: (config) => config.eks.resource_attributes,
    isRemote: true,
  },
  gcp,
  gke: gcp,
  azure: {
    run: detectAzure,
    switches: (config) => config.azure.resource_attributes,
    isRemote: true,
  },
  aks: {
    run: detectAks,
    defaults: ["cloud.provider", "cloud.platform"],
    switches: (config) => config.aks.resource_attributes,
    isRemote: true,
  },
};

/**
 * Asks all detectors at once; of one attribute the first in the configuration's order counts. A
 * detector that finds nothing is logged, or with `fail_on_missing_metadata` an error.
 */
export async function detect(
  config: ResourceDetectionConfig,
  { world, logger, signal }: { world: World; logger: Logger; signal: AbortSignal },
): Promise<Detected> {
  const results = await Promise.all(
    config.detectors.map(async (name) => {
      try {
        return await detectOne(name, { world, config, signal });
      } catch (error) {
        const message = `the detector ${name} found nothing: ${messageOf(error)}`;
        if (config.fail_on_missing_metadata) {
          throw new AgentError("BS_START", `${message} (fail_on_missing_metadata is set)`);
        }
        logger.warn("A resource detector found nothing.", {
          detector: name,
          error: messageOf(error),
        });
        return new Map() satisfies Detected;
      }
    }),
  );
  const all: Detected = new Map();
  for (const [name, value] of results.flatMap((found) => [...found])) {
    const isWanted = config.attributes.length === 0 || config.attributes.includes(name);
    if (isWanted && !all.has(name)) all.set(name, value);
  }
  return all;
}

async function detectOne(name: DetectorName, detection: Detection): Promise<Detected> {
  const { run, defaults, switches, isRemote = false } = DETECTORS[name];
  const found = isRemote ? await withRetries(run, detection) : await run(detection);
  const wanted = switches?.(detection.config) ?? NO_SWITCHES;
  const isOn = (key: string): boolean =>
    wanted.get(key) ?? (defaults === undefined || defaults.includes(key));
  return new Map([...found].filter(([key, value]) => value !== "" && isOn(key)));
}

/** Until `timeout` is over; the last reason is the one that is said. */
async function withRetries(run: Detector["run"], detection: Detection): Promise<Detected> {
  const { timeout } = detection.config;
  const signal = AbortSignal.any([detection.signal, AbortSignal.timeout(timeout)]);
  let problem: unknown = new Error(`no answer within ${timeout} ms`);
  for (let waitMs = RETRY_MIN_MS; !signal.aborted; waitMs = Math.min(waitMs * 2, RETRY_MAX_MS)) {
    try {
      return await run({ ...detection, signal });
    } catch (error) {
      if (!signal.aborted) problem = error;
    }
    await delay(waitMs, undefined, { signal }).catch(() => undefined);
  }
  throw problem;
}
