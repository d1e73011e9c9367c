"""A current boto3 sends numbers to a queue, each confirmed by its answer, and receives and deletes them beside that."""
import os
import sys
import threading
import time

import boto3
from botocore.config import Config


def say(line):
    # In one piece: two threads say something.
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def client():
    return boto3.client(
        "sqs",
        endpoint_url=os.environ["BROKER"],
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"max_attempts": 1}, read_timeout=10),
    )


sqs = client()
url = sqs.create_queue(QueueName="numbers", Attributes={"VisibilityTimeout": "2"})["QueueUrl"]
sqs.send_message(QueueUrl=url, MessageBody="0", MessageAttributes={"a": {"DataType": "Number", "StringValue": "1"}})
first = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5, MessageAttributeNames=["All"])["Messages"][0]
assert first["MessageAttributes"]["a"]["StringValue"] == "1", first
sqs.delete_message(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
say(f"job boto3 {boto3.__version__} has sent, received and deleted a message with attributes")


def receive():
    own = client()
    while True:
        try:
            for message in own.receive_message(QueueUrl=url, WaitTimeSeconds=1, MaxNumberOfMessages=10).get("Messages", []):
                say(f"receive {message['Body']}")
                own.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        except Exception:
            time.sleep(0.05)


stop = threading.Event()
threading.Thread(target=receive, daemon=True).start()
threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
n = 0
while not stop.is_set():
    n += 1
    say(f"try {n}")
    try:
        sqs.send_message(QueueUrl=url, MessageBody=str(n))
        say(f"confirm {n}")
    except Exception:
        # Not known.
        time.sleep(0.05)
time.sleep(600)
