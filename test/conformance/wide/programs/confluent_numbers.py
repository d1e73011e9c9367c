"""confluent-kafka: numbers, and a group whose third member comes and goes. `ADDRESS classic`, `cooperative` or `consumer`."""

import sys
import threading
import time

from confluent_kafka import Consumer, Producer

SERVER = {"bootstrap.servers": sys.argv[1], "reconnect.backoff.max.ms": 200}
KIND = sys.argv[2]
STRATEGY = {"classic": "range,roundrobin", "cooperative": "cooperative-sticky"}
CLASSIC = {
    "group.protocol": "classic",
    "partition.assignment.strategy": STRATEGY.get(KIND),
    "session.timeout.ms": 6000,
    "heartbeat.interval.ms": 300,
}
PROTOCOL = {"group.protocol": "consumer"} if KIND == "consumer" else CLASSIC
told_to_stop = threading.Event()


def say(word, number):
    sys.stdout.write(f"{word} {number}\n")
    sys.stdout.flush()


def consume(seconds=None):
    group = {"group.id": "readers", "auto.offset.reset": "earliest"}
    consumer = Consumer({**SERVER, **group, **PROTOCOL, "auto.commit.interval.ms": 100})
    consumer.subscribe(["numbers"])
    end = None if seconds is None else time.monotonic() + seconds
    while end is None or time.monotonic() < end:
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            say("receive", message.value().decode())
    consumer.close()


def come_and_go():
    while not told_to_stop.is_set():
        time.sleep(1.5)
        consume(2)


def confirm(error, message):
    if error is None:
        say("confirm", message.value().decode())


def wait_for_word():
    sys.stdin.readline()
    told_to_stop.set()


for target in (wait_for_word, consume, consume, come_and_go):
    threading.Thread(target=target, daemon=True).start()
producer = Producer({**SERVER, "enable.idempotence": True, "linger.ms": 0})
number = 0
while not told_to_stop.is_set():
    number += 1
    say("try", number)
    producer.produce("numbers", str(number), key=str(number), on_delivery=confirm)
    producer.poll(0.005)
while True:
    producer.poll(0.5)
