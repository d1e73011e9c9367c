"""A day in the life of boto3: what it is asked to do is on its command line, what came out goes to stdout as JSON."""

import json
import sys

import boto3
from botocore.config import Config

endpoint = sys.argv[1]
options = dict(
    endpoint_url=endpoint,
    region_name="us-east-1",
    aws_access_key_id="test",
    aws_secret_access_key="test",
    config=Config(retries={"max_attempts": 1}),
)


def queues():
    sqs = boto3.resource("sqs", **options)
    client = boto3.client("sqs", **options)
    queue = sqs.create_queue(QueueName="boto", Attributes={"VisibilityTimeout": "1", "DelaySeconds": "0"})
    sent = queue.send_message(
        MessageBody="Grüße & <Küsse>\r\n",
        MessageAttributes={
            "text": {"DataType": "String", "StringValue": "a b"},
            "number": {"DataType": "Number", "StringValue": "7.50"},
            "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        },
    )
    batch = queue.send_messages(
        Entries=[{"Id": str(i), "MessageBody": f"m{i}", "DelaySeconds": 0} for i in range(3)]
        + [{"Id": "late", "MessageBody": "x", "DelaySeconds": 901}]
    )
    received = []
    while len(received) < 4:
        for message in queue.receive_messages(
            MaxNumberOfMessages=10, WaitTimeSeconds=1, AttributeNames=["All"], MessageAttributeNames=["All"]
        ):
            attributes = message.message_attributes or {}
            received.append(
                {
                    "id": message.message_id,
                    "body": message.body,
                    "count": message.attributes["ApproximateReceiveCount"],
                    "number": attributes.get("number", {}).get("StringValue"),
                    "bytes": attributes["bytes"]["BinaryValue"].hex() if "bytes" in attributes else None,
                }
            )
            message.change_visibility(VisibilityTimeout=5)
            message.delete()
    client.tag_queue(QueueUrl=queue.url, Tags={"a": "1"})
    queue.set_attributes(Attributes={"DelaySeconds": "3"})
    queue.reload()
    errors = {}
    for name, call in {
        "no queue": lambda: client.send_message(QueueUrl=queue.url + "x", MessageBody="x"),
        "too many": lambda: client.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=11),
        "bad handle": lambda: client.delete_message(QueueUrl=queue.url, ReceiptHandle="x"),
        "empty batch": lambda: client.send_message_batch(QueueUrl=queue.url, Entries=[]),
    }.items():
        try:
            call()
        except client.exceptions.ClientError as error:
            answer = error.response
            errors[name] = [answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]]
    return {
        "url": queue.url,
        "first": sent["MessageId"],
        "successful": [each["Id"] for each in batch["Successful"]],
        "failed": [[each["Id"], each["Code"], each["SenderFault"]] for each in batch["Failed"]],
        "received": received,
        "tags": client.list_queue_tags(QueueUrl=queue.url)["Tags"],
        "delay": queue.attributes["DelaySeconds"],
        "left": queue.attributes["ApproximateNumberOfMessages"],
        "listed": [each.url for each in sqs.queues.filter(QueueNamePrefix="bo")],
        "errors": errors,
    }


print(json.dumps(queues()))
