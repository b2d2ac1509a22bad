// SPDX-License-Identifier: Apache-2.0
// OpenLDAP's slapd and its own command-line clients.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { LDAP } from "../../src/protocols/ldap/protocol.ts";
import { startTestAgent } from "../support/agent.ts";
import { callLines, updateCallGoldens } from "../support/call-recorder.ts";
import { freePorts } from "../support/proc-net.ts";
import { type RunningProcess, startProcess } from "../support/process.ts";
import { startRecordingProxy } from "../support/recording-proxy.ts";

const run = promisify(execFile);
const ADMIN = "cn=admin,dc=example";
const ENTRIES = `dn: dc=example
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: cn=ann,dc=example
objectClass: person
cn: ann
sn: Miller
`;

async function startSlapd(folder: string, port: number): Promise<RunningProcess> {
  const config = join(folder, "slapd.conf");
  mkdirSync(join(folder, "data"));
  writeFileSync(
    config,
    `include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile ${folder}/pid
database mdb
suffix "dc=example"
rootdn "${ADMIN}"
rootpw secret
directory ${folder}/data
maxsize 10485760
`,
  );
  return await startProcess({
    command: "/usr/sbin/slapd",
    args: ["-f", config, "-h", `ldap://127.0.0.1:${port}`, "-d", "0"],
    readyPort: port,
  });
}

async function converse(folder: string, port: number): Promise<void> {
  const common = ["-x", "-H", `ldap://127.0.0.1:${port}`];
  const asAdmin = [...common, "-D", ADMIN, "-w", "secret"];
  const file = join(folder, "entries.ldif");
  writeFileSync(file, ENTRIES);
  await run("ldapadd", [...asAdmin, "-f", file]);
  const filter = "(&(objectClass=person)(|(cn=an*)(sn=Smith))(!(sn=Jones)))";
  const { stdout } = await run("ldapsearch", [...common, "-LLL", "-b", "dc=example", filter]);
  assert.match(stdout, /sn: Miller/);
  await assert.rejects(run("ldapsearch", [...common, "-b", "ou=none,dc=example", "-s", "base"]));
  await assert.rejects(run("ldapwhoami", [...common, "-D", ADMIN, "-w", "wrong"]));
  await run("ldapwhoami", common);
  await run("ldapdelete", [...asAdmin, "cn=ann,dc=example"]);
}

const NAME = "cn=?,dc=?";
const DONE = [
  ["bind", `bind ${NAME}`, "", ""],
  ["add", "add dc=?", "", ""],
  ["add", `add ${NAME}`, "", ""],
  ["bind", "bind", "", ""],
  ["search", "search dc=? sub (&(objectClass=?)(|(cn=?)(sn=?))(!(sn=?)))", "", "1"],
  ["bind", "bind", "", ""],
  ["search", "search ou=?,dc=? base (objectclass=*)", "noSuchObject", "0"],
  ["bind", `bind ${NAME}`, "invalidCredentials", ""],
  ["bind", "bind", "", ""],
  ["extended", "extended 1.3.6.1.4.1.4203.1.11.3", "", ""],
  ["bind", `bind ${NAME}`, "", ""],
  ["delete", `delete ${NAME}`, "", ""],
] as const;

test("what OpenLDAP's clients do is seen at either end, and through the agent", async () => {
  const folder = mkdtempSync(join(tmpdir(), "backstitch-ldap-"));
  const [port = 0] = await freePorts(1);
  await using server = await startSlapd(folder, port);
  await using proxy = await startRecordingProxy(port);
  await using agent = await startTestAgent({
    targets: `[{pids: [${server.pid}], name: directory}]`,
  });
  await converse(folder, proxy.port);
  updateCallGoldens(LDAP, proxy, "OpenLDAP");
  const expected = DONE.map(([operation, text, error, rows]) =>
    [
      ...[operation, `db.operation.name=${operation}`, `db.query.text=${text}`],
      ...(rows === "" ? [] : [`db.response.returned_rows=${rows}`]),
      ...(error === "" ? [] : [`db.response.status_code=${error === "noSuchObject" ? 32 : 49}`]),
      ...["db.system.name=ldap", ...(error === "" ? [] : [`error.type=${error}`])],
    ].join(" "),
  );
  assert.deepEqual(callLines(LDAP, proxy, "client").flat(), expected);
  assert.deepEqual(callLines(LDAP, proxy, "server").flat(), expected);
  const spans = await agent.spansWhen(DONE.length);
  assert.deepEqual(
    spans.map(({ kind, name }) => `${kind} ${name}`).sort(),
    DONE.map(([name]) => `server ${name}`).sort(),
  );
  rmSync(folder, { recursive: true, force: true });
});
