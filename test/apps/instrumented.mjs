// SPDX-License-Identifier: Apache-2.0
// A Node service with an OpenTelemetry SDK of its own: spans for what it receives and sends,
// traceparent on the wire, OTLP over gRPC. The opposite of its neighbours here.
//   node instrumented.mjs --listen 127.0.0.1:0 --downstream URL --otlp http://HOST:PORT
import http from "node:http";
import { parseArgs } from "node:util";
import { context, propagation, SpanKind, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-grpc";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";

const { values: options } = parseArgs({
  options: {
    listen: { type: "string", default: "127.0.0.1:0" },
    downstream: { type: "string" },
    otlp: { type: "string" },
  },
});
const provider = new TracerProvider({
  resource: resourceFromAttributes({ "service.name": "instrumented" }),
  spanProcessors: [
    new BatchSpanProcessor({
      exporter: new OTLPTraceExporter({ url: options.otlp }),
      scheduledDelayMillis: 100,
    }),
  ],
});
trace.setGlobalTracerProvider(provider);
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
propagation.setGlobalPropagator(new W3CTraceContextPropagator());
const tracer = trace.getTracer("instrumented");
const agent = new http.Agent({ keepAlive: true });

/** Calls the service below inside a client span, whose context goes out as traceparent. */
function call(path) {
  return tracer.startActiveSpan(`GET ${path}`, { kind: SpanKind.CLIENT }, (span) => {
    const headers = {};
    propagation.inject(context.active(), headers);
    return new Promise((resolve, reject) => {
      const request = http.get(`${options.downstream}${path}`, { headers, agent }, (response) => {
        response.resume().on("end", () => {
          span.end();
          resolve(response.statusCode);
        });
      });
      request.on("error", reject);
    });
  });
}

const server = http.createServer((request, response) => {
  const parent = propagation.extract(context.active(), request.headers);
  const attributes = { "url.path": request.url };
  const kind = SpanKind.SERVER;
  void tracer.startActiveSpan("handle", { kind, attributes }, parent, async (span) => {
    const status = options.downstream === undefined ? 200 : await call(request.url);
    response.writeHead(status, { "content-length": 3 }).end("ok\n");
    span.end();
  });
});
const colon = options.listen.lastIndexOf(":");
server.listen(Number(options.listen.slice(colon + 1)), options.listen.slice(0, colon));
process.on("SIGTERM", () => provider.shutdown().finally(() => process.exit(0)));
