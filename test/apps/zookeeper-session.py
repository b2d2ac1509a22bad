# SPDX-License-Identifier: Apache-2.0
"""What the test expects of a ZooKeeper client: kazoo. Argument: the port."""
import sys

from kazoo.client import KazooClient
from kazoo.exceptions import BadVersionError, NodeExistsError, NoNodeError

client = KazooClient(hosts=f"127.0.0.1:{sys.argv[1]}")
client.start(timeout=15)
seen = []
client.create("/shop", b"open")
client.create("/shop/orders-17", b"{}", ephemeral=True)
try:
    client.create("/shop", b"again")
except NodeExistsError:
    pass
client.get("/shop/orders-17", watch=seen.append)
client.set("/shop/orders-17", b"new")
try:
    client.set("/shop", b"x", version=9)
except BadVersionError:
    pass
try:
    client.get("/none")
except NoNodeError:
    pass
assert client.exists("/nowhere/a/b") is None
assert client.get_children("/shop") == ["orders-17"]
transaction = client.transaction()
transaction.create("/shop/b", b"1")
transaction.delete("/shop/b")
assert len(transaction.commit()) == 2
client.delete("/shop/orders-17")
client.stop()
client.close()
assert len(seen) == 1
print("done")
