"""Members of a group that rebalances cooperatively come and go while records flow: who has which partition at any moment."""

import sys
import threading
import time

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

SERVER = {"bootstrap.servers": sys.argv[1]}
TOPIC = "numbers"
PARTITIONS = 12
GROUP = {
    "group.id": "readers",
    "partition.assignment.strategy": "cooperative-sticky",
    "auto.offset.reset": "earliest",
    "session.timeout.ms": 6000,
    "heartbeat.interval.ms": 200,
    "topic.metadata.refresh.interval.ms": 500,
}

lock = threading.Lock()
owner = {}
read = {}
errors = []
# A partition that its owner gave up, until another one has it.
given_up = {}
moved = 0


class Member(threading.Thread):
    def __init__(self, name):
        super().__init__(name=name, daemon=True)
        self.leaving = threading.Event()
        self.count = 0
        self.start()

    def run(self):
        consumer = Consumer({**SERVER, **GROUP})
        consumer.subscribe([TOPIC], on_assign=self.assigned, on_revoke=self.revoked, on_lost=self.lost)
        while not self.leaving.is_set():
            message = consumer.poll(0.05)
            if message is None:
                continue
            with lock:
                if message.error() is not None:
                    errors.append(str(message.error()))
                    continue
                partition, number = message.partition(), int(message.value())
                if owner.get(partition) is not self:
                    errors.append(f"{self.name} read {number} of partition {partition}, which it does not have")
                if number in read:
                    errors.append(f"{self.name} read {number} after {read[number]}")
                read[number] = self.name
                self.count += 1
        consumer.close()

    def assigned(self, consumer, partitions):
        global moved
        with lock:
            for each in partitions:
                holder = owner.get(each.partition)
                if holder is not None:
                    errors.append(f"{self.name} got partition {each.partition}, which {holder.name} has")
                before = given_up.pop(each.partition, None)
                if before is self:
                    errors.append(f"{self.name} gave up partition {each.partition} and got it again")
                moved += before is not None
                owner[each.partition] = self

    def revoked(self, consumer, partitions):
        with lock:
            for each in partitions:
                if owner.pop(each.partition, None) is not self:
                    errors.append(f"{self.name} gave up partition {each.partition}, which it does not have")
                given_up[each.partition] = self

    def lost(self, consumer, partitions):
        with lock:
            errors.append(f"{self.name} lost {len(partitions)} partitions")

    def leave(self):
        self.leaving.set()
        self.join(30)


def until(what, condition, seconds=60):
    end = time.monotonic() + seconds
    while True:
        with lock:
            assert not errors, errors[:5]
            if condition():
                return
            assert time.monotonic() < end, what
        time.sleep(0.02)


def share(members):
    """Everything is with one of them, as evenly as it goes."""
    part = PARTITIONS // len(members)

    def is_shared():
        return len(owner) == PARTITIONS and all(list(owner.values()).count(one) == part for one in members)

    until(f"{len(members)} members share", is_shared)


published = 0
stop = threading.Event()


def publish():
    global published
    producer = Producer({**SERVER, "linger.ms": 0})
    while not stop.is_set():
        for partition in range(PARTITIONS):
            producer.produce(TOPIC, str(published), partition=partition)
            published += 1
        producer.poll(0)
        time.sleep(0.005)
    assert producer.flush(30) == 0


admin = AdminClient(SERVER)
admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])[TOPIC].result(30)
publisher = threading.Thread(target=publish, daemon=True)
publisher.start()
members = [Member("m1")]
share(members)
for number, step in enumerate(["join", "join", "leave", "join", "join", "leave", "leave", "leave"]):
    before = dict(owner)
    if step == "join":
        members.append(Member(f"m{number + 2}"))
    else:
        members.pop(0).leave()
    share(members)
    # As many stay where they are as can.
    stayed = sum(owner[partition] is before[partition] for partition in owner)
    most = min(PARTITIONS // len(members), PARTITIONS // (len(members) + (1 if step == "leave" else -1)))
    staying = len(members) - (step == "join")
    assert stayed == most * staying, f"{step}: {stayed} partitions stayed, of {most} for each of {staying}"
stop.set()
publisher.join()
until("all is read", lambda: len(read) == published)
print(f"{published} records, each read once, while {moved} partitions moved and no other was given up")
