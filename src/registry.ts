// SPDX-License-Identifier: Apache-2.0
import { factory as nopExporter } from "../exporters/nop/factory.ts";
import { factory as otlpGrpcExporter } from "../exporters/otlp_grpc/factory.ts";
import { factory as otlpHttpExporter } from "../exporters/otlp_http/factory.ts";
import { factory as discoveryExtension } from "../extensions/discovery/factory.ts";
import { factory as spanStitchProcessor } from "../processors/span_stitch/factory.ts";
import { factory as otlpReceiver } from "../receivers/otlp/factory.ts";
import type { Factory } from "./component/component.ts";

/** Every component of this build, one line each: the only file outside its folder that a new one edits. */
export const FACTORIES: readonly Factory[] = [
  otlpReceiver,
  spanStitchProcessor,
  nopExporter,
  otlpGrpcExporter,
  otlpHttpExporter,
  discoveryExtension,
];
