# SPDX-License-Identifier: Apache-2.0
"""What a client of RabbitMQ does, with known operations: rabbitmq-session.py PORT."""
import sys

import pika

connection = pika.BlockingConnection(
    pika.ConnectionParameters("127.0.0.1", int(sys.argv[1]), heartbeat=0, frame_max=4096)
)
channel = connection.channel()
channel.exchange_declare("shop", exchange_type="topic")
channel.queue_declare("orders")
channel.queue_bind("orders", "shop", "order.*")
# Not confirmed: nobody answers.
channel.basic_publish("shop", "order.new", b"first", pika.BasicProperties(message_id="m-1"))
channel.basic_publish("", "orders", b"x" * 9_000)
channel.confirm_delivery()
channel.basic_publish("shop", "order.paid", b"third", pika.BasicProperties(correlation_id="c-3"))
try:
    channel.basic_publish("shop", "nobody.listens", b"lost", mandatory=True)
except pika.exceptions.UnroutableError:
    print("returned")
method, _, _ = channel.basic_get("orders")
channel.basic_ack(method.delivery_tag)
consumed = 0
for method, _, body in channel.consume("orders", inactivity_timeout=5):
    channel.basic_ack(method.delivery_tag)
    consumed += 1
    if consumed == 2:
        break
channel.cancel()
method, _, _ = channel.basic_get("orders", auto_ack=True)
print("empty", method)
try:
    channel.queue_declare("missing", passive=True)
except pika.exceptions.ChannelClosedByBroker as closed:
    print("closed", closed.reply_code)
connection.close()
print("done")
