// SPDX-License-Identifier: Apache-2.0
/** A processor of your own, to begin with: writes the names of spans in capitals. */
import type { ComponentsOf, Factory, Kit, Processor } from "../../src/kit/kit.ts";

/** Called once, when the configuration is read. Everything that you need is in the kit. */
export const components: ComponentsOf = (kit) => [shout(kit)];

function shout(kit: Kit): Factory {
  const { z, otlp } = kit;
  return kit.defineProcessor({
    kind: "processor",
    type: "shout",
    stability: "development",
    signals: ["traces"],
    configSchema: z.strictObject({
      suffix: z.string().default("!").describe("Put behind each name."),
    }),
    create: (settings, { suffix }): Processor => ({
      start: async () => undefined,
      shutdown: async () => undefined,
      process: (input) =>
        input.pipe(
          kit.perBatch(settings, (batch) => {
            const decoded = otlp.toJson(otlp.requests.traces.request, Buffer.concat(batch.chunks));
            // A throw costs this batch only; it is counted and logged.
            if (!decoded.ok) throw new Error(`malformed at byte ${decoded.offset}`);
            const shouted = decoded.json.replace(
              /"spanId":"([0-9a-f]*)"(.*?)"name":"(.*?)"/g,
              (_, id: string, between: string, name: string) =>
                `"spanId":"${id}"${between}"name":"${name.toUpperCase()}${suffix}"`,
            );
            const encoded = otlp.fromJson(otlp.requests.traces.request, shouted);
            if (!encoded.ok) throw new Error(encoded.message);
            return { ...batch, chunks: [encoded.bytes], bytes: encoded.bytes.length };
          }),
        ),
    }),
  });
}
