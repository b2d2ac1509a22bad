// SPDX-License-Identifier: Apache-2.0
// prometheus.io/docs/instrumenting/exposition_formats and the OpenMetrics specification 1.0.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type ParsedFamily, ParseError, parseText } from "./parse-text.ts";

function brief(families: readonly ParsedFamily[]): unknown {
  return families.map(({ name, type, samples }) => [
    name,
    type,
    ...samples.map((sample) => [sample.name, Object.fromEntries(sample.labels), sample.value]),
  ]);
}

test("samples belong to the family that their type says", () => {
  const text = `# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000

# A comment.
msdos_file_access_time_seconds{path="C:\\\\DIR\\\\FILE.TXT",error="Cannot find file:\\n\\"FILE.TXT\\""} 1.458255915e9
metric_without_timestamp_and_labels 12.47
something_weird{problem="division by zero"} +Inf -3982045
# TYPE d histogram
d_bucket{le="0.05"} 24054
d_bucket{le="+Inf"} 144320
d_sum 53423
d_count 144320
`;
  const families = parseText(text, false);
  assert.deepEqual(brief(families), [
    [
      ...["http_requests_total", "counter"],
      ["http_requests_total", { method: "post", code: "200" }, 1027],
    ],
    [
      ...["msdos_file_access_time_seconds", "unknown"],
      [
        "msdos_file_access_time_seconds",
        { path: "C:\\DIR\\FILE.TXT", error: 'Cannot find file:\n"FILE.TXT"' },
        1.458255915e9,
      ],
    ],
    [
      ...["metric_without_timestamp_and_labels", "unknown"],
      ["metric_without_timestamp_and_labels", {}, 12.47],
    ],
    [
      ...["something_weird", "unknown"],
      ["something_weird", { problem: "division by zero" }, Number.POSITIVE_INFINITY],
    ],
    [
      ...["d", "histogram"],
      ["d_bucket", { le: "0.05" }, 24054],
      ["d_bucket", { le: "+Inf" }, 144320],
      ["d_sum", {}, 53423],
      ["d_count", {}, 144320],
    ],
  ]);
  assert.equal(families[0]?.help, "The total number of HTTP requests.");
  assert.equal(families[0]?.samples[0]?.timeMs, 1395066363000);
});

test("OpenMetrics has seconds, exemplars and units", () => {
  const text = `# TYPE a_seconds counter
# UNIT a_seconds seconds
a_seconds_total 5 1.5 # {trace_id="t"} 0.67 1.25
a_seconds_created 1
# EOF
`;
  const [family] = parseText(text, true);
  assert.equal(family?.unit, "seconds");
  const [total, created] = family?.samples ?? [];
  assert.equal(total?.timeMs, 1500);
  assert.deepEqual(total?.exemplar?.labels, new Map([["trace_id", "t"]]));
  assert.equal(total?.exemplar?.value, 0.67);
  assert.equal(total?.exemplar?.timeMs, 1250);
  assert.equal(created?.name, "a_seconds_created");
});

test("names may be in quotes", () => {
  const [family] = parseText('# TYPE "a.b" gauge\n{"a.b","c.d"="1"} 3\n', true);
  assert.deepEqual(brief([family as ParsedFamily]), [["a.b", "gauge", ["a.b", { "c.d": "1" }, 3]]]);
});

test("a line that is wrong is named", () => {
  for (const line of ["a{b} 1", 'a{b="c 1', "a", "a x", "{} 1", "a 1 2 3", 'a{b="c" d="e"} 1']) {
    assert.throws(() => parseText(`ok 1\n${line}\n`, false), /^ParseError|line 2: |Error: line 2/);
  }
});

test("any text is parsed or refused", () => {
  const pieces = fc.constantFrom("a", "{", "}", '"', "=", ",", " ", "#", "1", "\\", "\n", "TYPE");
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 40 }), fc.boolean(), (parts, isOpenMetrics) => {
      try {
        parseText(parts.join(""), isOpenMetrics);
      } catch (error) {
        assert.ok(error instanceof ParseError);
      }
    }),
  );
});
