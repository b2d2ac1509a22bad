// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import type { JournalEntry } from "../../src/component/storage.ts";
import { FileJournal } from "./journal.ts";

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-journal-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

interface Opened {
  readonly journal: FileJournal;
  readonly cuts: number[];
}

function open(folder: string): Opened {
  const cuts: number[] = [];
  const journal = new FileJournal({
    folder,
    folderMode: 0o750,
    fsync: false,
    onCut: (_path, bytes) => cuts.push(bytes),
    onFailure: (error) => assert.fail(String(error)),
  });
  return { journal, cuts };
}

function textOf(journal: FileJournal, entry: JournalEntry): string {
  return Buffer.from(journal.read(entry) ?? "unreadable").toString();
}

function texts(journal: FileJournal): readonly string[] {
  return journal.entries().map((entry) => textOf(journal, entry));
}

function append(journal: FileJournal, text: string): JournalEntry {
  const bytes = Buffer.from(text);
  const middle = bytes.length >> 1;
  return journal.append([bytes.subarray(0, middle), bytes.subarray(middle)], text.length);
}

test("what was appended and not removed is there after a restart, in order, with its tag", (t) => {
  const folder = temporaryFolder(t);
  const first = open(folder);
  const entries = ["one", "two", "three"].map((text) => append(first.journal, text));
  first.journal.remove(entries[1] ?? assert.fail());
  // As after a kill: nothing was closed.
  const second = open(folder);
  assert.deepEqual(texts(second.journal), ["one", "three"]);
  assert.deepEqual(
    second.journal.entries().map(({ tag }) => tag),
    [3, 5],
  );
  const more = append(second.journal, "four");
  assert.ok(more.sequence > (entries[2]?.sequence ?? 0));
  assert.deepEqual(texts(open(folder).journal), ["one", "three", "four"]);
});

test("a file torn at any byte loses only what its last record held", (t) => {
  const folder = temporaryFolder(t);
  const { journal } = open(folder);
  const ends = ["alpha", "beta", "gamma"].map((text) => {
    append(journal, text);
    return statSync(join(folder, readdirSync(folder)[0] ?? "")).size;
  });
  const path = join(folder, readdirSync(folder)[0] ?? "");
  const whole = readFileSync(path);
  for (let length = whole.length; length >= 0; length--) {
    writeFileSync(path, whole);
    truncateSync(path, length);
    const { journal: cut, cuts } = open(folder);
    const expected = ends.filter((end) => end <= length).length;
    assert.deepEqual(texts(cut), ["alpha", "beta", "gamma"].slice(0, expected), `at ${length}`);
    assert.equal(
      cuts.length,
      length === whole.length || ends.includes(length) || length === 8 ? 0 : length === 0 ? 0 : 1,
    );
    append(cut, "next");
    assert.deepEqual(texts(open(folder).journal).at(-1), "next");
    cut.close();
  }
});

test("a changed byte is noticed, at start and when read", (t) => {
  const folder = temporaryFolder(t);
  const { journal } = open(folder);
  const entry = append(journal, "precious");
  append(journal, "later");
  const path = join(folder, readdirSync(folder)[0] ?? "");
  const bytes = readFileSync(path);
  bytes.writeUInt8(0x21, bytes.indexOf("precious") + 2);
  writeFileSync(path, bytes);
  assert.equal(journal.read(entry), undefined);
  const { journal: again, cuts } = open(folder);
  assert.deepEqual([texts(again), cuts.length], [[], 1]);
});

test("garbage in place of a file is cut, not read", (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, "000000000007.journal"), "no journal at all, but something longer");
  appendFileSync(join(folder, "notes.txt"), "of somebody else");
  const { journal, cuts } = open(folder);
  assert.deepEqual([texts(journal), cuts.length], [[], 1]);
  append(journal, "new");
  assert.deepEqual(texts(open(folder).journal), ["new"]);
});

test("files go when their entries do, also when one entry stays for long", (t) => {
  const folder = temporaryFolder(t);
  const { journal } = open(folder);
  const stuck = append(journal, "stuck");
  const megabyte = "x".repeat(1 << 20);
  for (let turn = 0; turn < 100; turn++) journal.remove(append(journal, megabyte));
  assert.ok(readdirSync(folder).length <= 6, `${readdirSync(folder).length} files`);
  assert.equal(textOf(journal, stuck), "stuck");
  assert.deepEqual(texts(open(folder).journal), ["stuck"]);
});

test("any sequence of appends, removals and restarts leaves what a list would", (t) => {
  const step = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({ kind: fc.constant("append"), text: fc.string({ maxLength: 40 }) }),
    },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("remove"), at: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart") }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const folder = mkdtempSync(join(tmpdir(), "backstitch-journal-"));
      try {
        let { journal } = open(folder);
        let expected: string[] = [];
        for (const one of steps) {
          if ("text" in one) {
            append(journal, one.text);
            expected.push(one.text);
          } else if ("at" in one) {
            const entry = journal.entries()[one.at];
            if (entry !== undefined) journal.remove(entry);
            expected = expected.filter((_, at) => at !== one.at);
          } else {
            journal.close();
            journal = open(folder).journal;
          }
          assert.deepEqual(texts(journal), expected);
        }
        journal.close();
      } finally {
        rmSync(folder, { recursive: true });
      }
    }),
    { numRuns: 60 },
  );
  t.diagnostic("60 sequences");
});
