"""pika publishes numbers with confirms and consumes them with acks; it leaves reconnecting to its users."""
import os
import sys
import threading
import time

import pika

QUEUE = "numbers"
PARAMETERS = pika.URLParameters(os.environ["BROKER"])
# Slower than the publisher: at a kill there are messages that only the broker has.
WORK = 0.005
PAUSE = 0.05


def say(line):
    # In one piece: two threads say something.
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def channel():
    connection = pika.BlockingConnection(PARAMETERS)
    own = connection.channel()
    own.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
    return own


def job():
    own = channel()
    answers = own.queue_declare("", exclusive=True).method.queue
    own.exchange_declare("pika", "topic")
    own.queue_bind(answers, "pika", "a.#")
    own.confirm_delivery()
    own.basic_publish("pika", "a.b", b"x", pika.BasicProperties(headers={"deep": {"list": [1, "two"]}}), mandatory=True)
    _, properties, body = own.basic_get(answers, auto_ack=True)
    assert (body, properties.headers) == (b"x", {"deep": {"list": [1, "two"]}}), (body, properties)
    own.connection.close()
    say(f"job pika {pika.__version__} has published through a topic exchange and got a message with headers")


def receive():
    own = channel()
    own.basic_qos(prefetch_count=5)
    for method, _, body in own.consume(QUEUE):
        say(f"receive {body.decode()}")
        time.sleep(WORK)
        own.basic_ack(method.delivery_tag)


def receive_on():
    while True:
        try:
            receive()
        except pika.exceptions.AMQPError:
            time.sleep(PAUSE)


job()
stop = threading.Event()
threading.Thread(target=receive_on, daemon=True).start()
threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
n = 0
while not stop.is_set():
    try:
        publisher = channel()
        publisher.confirm_delivery()
        while not stop.is_set():
            n += 1
            say(f"try {n}")
            publisher.basic_publish("", QUEUE, str(n).encode(), pika.BasicProperties(delivery_mode=2))
            say(f"confirm {n}")
    except pika.exceptions.AMQPError:
        # Not known.
        time.sleep(PAUSE)
time.sleep(600)
