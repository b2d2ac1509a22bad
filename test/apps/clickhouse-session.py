# SPDX-License-Identifier: Apache-2.0
"""A scripted session on a ClickHouse server: waits for SIGUSR1, then one command after another.

usage: clickhouse-session.py PORT [ROWS]
"""
import signal
import sys

from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

port = int(sys.argv[1])
rows = int(sys.argv[2]) if len(sys.argv) > 2 else 20000
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print("waiting", flush=True)
signal.sigwait({signal.SIGUSR1})

db = Client("127.0.0.1", port=port, database="default", user="default", password="")
assert db.execute("SELECT 1 + 41, 'text'") == [(42, "text")]
db.execute("CREATE TABLE users (id UInt32, name String, tags Array(String)) ENGINE = Memory")
people = [(1, "Ann", ["a", "b"]), (2, "Bob", []), (3, "Cleo", ["c"])]
assert db.execute("INSERT INTO users (id, name, tags) VALUES", people) == 3
found = db.execute("SELECT name, tags FROM users WHERE id IN (1, 3) ORDER BY id")
assert found == [("Ann", ["a", "b"]), ("Cleo", ["c"])]
for statement in ("SELECT * FROM missing WHERE id = 7", "SELEC 1"):
    try:
        db.execute(statement)
        raise AssertionError("no error")
    except ServerException:
        pass
# Many blocks: more than is captured or waited for.
assert len(db.execute(f"SELECT number, toString(number) FROM system.numbers LIMIT {rows}")) == rows
streamed = db.execute_iter(f"SELECT number FROM system.numbers LIMIT {rows}")
assert sum(1 for _ in streamed) == rows
db.execute("INSERT INTO users (id, name, tags) VALUES", [(i, "x" * 50, []) for i in range(rows)])
assert db.execute("SELECT count() FROM users") == [(rows + 3,)]
db.execute("DROP TABLE users")
db.disconnect()
print("done", flush=True)
signal.sigwait({signal.SIGUSR1})
