"""Consumers by Kafka's newer group protocol share a topic, through growth, a member that goes and a pattern of topics."""

import sys
import time

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

SERVER = {"bootstrap.servers": sys.argv[1]}
TOPIC = "events"


class Member:
    def __init__(self, topics):
        group = {"group.id": "g", "group.protocol": "consumer", "auto.offset.reset": "earliest"}
        self.consumer = Consumer({**SERVER, **group})
        self.consumer.subscribe(topics)
        self.values = []

    @property
    def partitions(self):
        return len(self.consumer.assignment())


def until(what, members, condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        for member in members:
            message = member.consumer.poll(0.05)
            if message is None:
                continue
            assert message.error() is None, message.error()
            member.values.append(message.value())


def publish(values):
    producer = Producer(SERVER)
    for value in values:
        producer.produce(TOPIC, str(value), key=str(value))
    assert producer.flush(30) == 0


admin = AdminClient(SERVER)
admin.create_topics([NewTopic(TOPIC, 4, 1)])[TOPIC].result(30)
publish(range(100))
one = Member([TOPIC])
until("everything comes to the only member", [one], lambda: len(one.values) == 100)
two = Member([TOPIC])
until("two members share", [one, two], lambda: (one.partitions, two.partitions) == (2, 2))
publish(range(100, 200))
until("each gets its part", [one, two], lambda: len(one.values) + len(two.values) >= 200)
got = one.values + two.values
assert len(got) == len(set(got)) == 200, "something came twice"
admin.create_partitions([NewPartitions(TOPIC, 6)])[TOPIC].result(30)
until("new partitions are shared out", [one, two], lambda: one.partitions + two.partitions == 6)
two.consumer.close()
until("who is left takes over", [one], lambda: one.partitions == 6)
one.consumer.close()
pattern = Member(["^ev.*"])
until("a pattern finds the topic", [pattern], lambda: pattern.partitions == 6)
pattern.consumer.close()
print(f"{len(got)} records shared by two members, through 6 partitions for 4, a member that left and a pattern")
