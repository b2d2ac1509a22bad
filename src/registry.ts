// SPDX-License-Identifier: Apache-2.0
import { factory as forwardConnector } from "../connectors/forward/factory.ts";
import { factory as serviceGraphConnector } from "../connectors/servicegraph/factory.ts";
import { factory as spanMetricsConnector } from "../connectors/span_metrics/factory.ts";
import { factory as debugExporter } from "../exporters/debug/factory.ts";
import { factory as fileExporter } from "../exporters/file/factory.ts";
import { factory as kafkaExporter } from "../exporters/kafka/factory.ts";
import { factory as loadBalancingExporter } from "../exporters/load_balancing/factory.ts";
import { factory as nopExporter } from "../exporters/nop/factory.ts";
import { factory as otlpGrpcExporter } from "../exporters/otlp_grpc/factory.ts";
import { factory as otlpHttpExporter } from "../exporters/otlp_http/factory.ts";
import { factory as prometheusExporter } from "../exporters/prometheus/factory.ts";
import { factory as prometheusRemoteWriteExporter } from "../exporters/prometheus_remote_write/factory.ts";
import { factory as storeExporter } from "../exporters/store/factory.ts";
import { factory as zipkinExporter } from "../exporters/zipkin/factory.ts";
import { factory as basicAuthExtension } from "../extensions/basicauth/factory.ts";
import { factory as bearerTokenAuthExtension } from "../extensions/bearertokenauth/factory.ts";
import { factory as discoveryExtension } from "../extensions/discovery/factory.ts";
import { factory as fileStorageExtension } from "../extensions/file_storage/factory.ts";
import { factory as headersSetterExtension } from "../extensions/headers_setter/factory.ts";
import { factory as healthCheckExtension } from "../extensions/health_check/factory.ts";
import { factory as oauth2ClientExtension } from "../extensions/oauth2client/factory.ts";
import { factory as pprofExtension } from "../extensions/pprof/factory.ts";
import { factory as uiExtension } from "../extensions/ui/factory.ts";
import { factory as zpagesExtension } from "../extensions/zpages/factory.ts";
import { factory as attributesProcessor } from "../processors/attributes/factory.ts";
import { factory as batchProcessor } from "../processors/batch/factory.ts";
import { factory as filterProcessor } from "../processors/filter/factory.ts";
import { factory as groupByTraceProcessor } from "../processors/groupbytrace/factory.ts";
import { factory as k8sAttributesProcessor } from "../processors/k8s_attributes/factory.ts";
import { factory as memoryLimiterProcessor } from "../processors/memory_limiter/factory.ts";
import { factory as natRewriteProcessor } from "../processors/nat_rewrite/factory.ts";
import { factory as resourceProcessor } from "../processors/resource/factory.ts";
import { factory as resourceDetectionProcessor } from "../processors/resource_detection/factory.ts";
import { factory as spanStitchProcessor } from "../processors/span_stitch/factory.ts";
import { factory as tailSamplingProcessor } from "../processors/tail_sampling/factory.ts";
import { factory as transformProcessor } from "../processors/transform/factory.ts";
import { ebpfL7Factory as ebpfL7Receiver } from "../receivers/ebpf_l7/factory.ts";
import { factory as hostMetricsReceiver } from "../receivers/host_metrics/factory.ts";
import { factory as kafkaReceiver } from "../receivers/kafka/factory.ts";
import { factory as otlpReceiver } from "../receivers/otlp/factory.ts";
import { factory as pcapReceiver } from "../receivers/pcap/factory.ts";
import { factory as prometheusReceiver } from "../receivers/prometheus/factory.ts";
import { factory as replayReceiver } from "../receivers/replay/factory.ts";
import { factory as zipkinReceiver } from "../receivers/zipkin/factory.ts";
import type { Factory } from "./component/component.ts";

/** Every component of this build, one line each: the only file outside its folder that a new one edits. */
export const FACTORIES: readonly Factory[] = [
  ebpfL7Receiver,
  otlpReceiver,
  hostMetricsReceiver,
  kafkaReceiver,
  pcapReceiver,
  prometheusReceiver,
  replayReceiver,
  zipkinReceiver,
  memoryLimiterProcessor,
  attributesProcessor,
  resourceProcessor,
  filterProcessor,
  transformProcessor,
  tailSamplingProcessor,
  groupByTraceProcessor,
  k8sAttributesProcessor,
  resourceDetectionProcessor,
  spanStitchProcessor,
  natRewriteProcessor,
  batchProcessor,
  forwardConnector,
  serviceGraphConnector,
  spanMetricsConnector,
  debugExporter,
  fileExporter,
  kafkaExporter,
  loadBalancingExporter,
  nopExporter,
  otlpGrpcExporter,
  otlpHttpExporter,
  prometheusExporter,
  prometheusRemoteWriteExporter,
  storeExporter,
  zipkinExporter,
  basicAuthExtension,
  bearerTokenAuthExtension,
  discoveryExtension,
  fileStorageExtension,
  headersSetterExtension,
  healthCheckExtension,
  oauth2ClientExtension,
  pprofExtension,
  uiExtension,
  zpagesExtension,
];
