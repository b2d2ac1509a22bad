# SPDX-License-Identifier: Apache-2.0
"""A scripted session on a Cassandra server: waits for SIGUSR1, then one command after another.

usage: cassandra-session.py PORT PROTOCOL_VERSION [BYTES]
"""
import signal
import sys
import uuid

from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import RoundRobinPolicy
from cassandra.query import BatchStatement, SimpleStatement

port = int(sys.argv[1])
version = int(sys.argv[2])
size = int(sys.argv[3]) if len(sys.argv) > 3 else 200_000
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print("waiting", flush=True)
signal.sigwait({signal.SIGUSR1})

cluster = Cluster(
    ["127.0.0.1"],
    port=port,
    protocol_version=version,
    compression=False,
    schema_metadata_enabled=False,
    token_metadata_enabled=False,
    execution_profiles={
        EXEC_PROFILE_DEFAULT: ExecutionProfile(RoundRobinPolicy(), request_timeout=60)
    },
)
session = cluster.connect()
session.execute("DROP KEYSPACE IF EXISTS shop")
session.execute(
    "CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
)
session.set_keyspace("shop")
columns = "id uuid PRIMARY KEY, name text, tags map<text, frozen<list<int>>>"
session.execute(f"CREATE TABLE users ({columns})")
key = uuid.UUID(int=7)
session.execute(f"INSERT INTO users (id, name) VALUES ({key}, 'secret-name')")
assert len(list(session.execute(f"SELECT * FROM users WHERE id = {key}"))) == 1
insert = session.prepare("INSERT INTO users (id, name, tags) VALUES (?, ?, ?)")
for number in range(3):
    session.execute(insert, (uuid.UUID(int=number), f"name {number}", {"a": [number]}))
batch = BatchStatement()
batch.add(insert, (uuid.UUID(int=10), "x", None))
batch.add(SimpleStatement("DELETE FROM users WHERE id = 00000000-0000-0000-0000-000000000001"))
session.execute(batch)
assert len(list(session.execute("SELECT id, name, tags FROM users"))) == 4
for wrong in ("SELECT * FROM missing", "SELEKT 5"):
    try:
        session.execute(wrong)
        raise AssertionError("no error")
    except Exception as error:
        assert "no error" not in str(error), error
# Several at once, on one connection.
find = session.prepare("SELECT name FROM users WHERE id = ?")
futures = [session.execute_async(find, (uuid.UUID(int=number),)) for number in range(5)]
assert sum(len(list(future.result())) for future in futures) == 2
session.execute(insert, (uuid.UUID(int=99), "y" * size, None))
assert len(list(session.execute(find, (uuid.UUID(int=99),)))[0][0]) == size
cluster.shutdown()
print("done", flush=True)
signal.sigwait({signal.SIGUSR1})
