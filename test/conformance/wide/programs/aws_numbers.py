"""Amazon's command line sends numbers to a queue, ten at a time, and receives and deletes them, a process for each step."""
import json
import os
import subprocess
import sys
import threading
import time

AWS = "/usr/bin/aws"
ENVIRONMENT = {
    **os.environ,
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_MAX_ATTEMPTS": "1",
}


def say(line):
    # In one piece: two threads say something.
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def aws(action, **options):
    """None when it failed: whether it was done is not known then."""
    arguments = [each for name, value in options.items() for each in ("--" + name.replace("_", "-"), value)]
    command = [AWS, "--endpoint-url", os.environ["BROKER"], "--output", "json", "sqs", action, *arguments]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    if done.returncode != 0:
        return None
    return json.loads(done.stdout or "{}")


url = aws("create-queue", queue_name="numbers", attributes=json.dumps({"VisibilityTimeout": "10"}))["QueueUrl"]
say("job Amazon's command line has made a queue")


# Numbers that are under way: to receive and delete takes two processes, and to send takes one.
AHEAD = 20
received = set()


def receive():
    while True:
        got = aws("receive-message", queue_url=url, wait_time_seconds="1", max_number_of_messages="10")
        messages = (got or {}).get("Messages", [])
        for message in messages:
            received.add(message["Body"])
            say(f"receive {message['Body']}")
        entries = [{"Id": str(i), "ReceiptHandle": each["ReceiptHandle"]} for i, each in enumerate(messages)]
        if entries:
            aws("delete-message-batch", queue_url=url, entries=json.dumps(entries))


stop = threading.Event()
threading.Thread(target=receive, daemon=True).start()
threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
n = 1
confirmed = set()
while not stop.is_set():
    if len(confirmed - received) > AHEAD:
        time.sleep(0.05)
        continue
    own = [str(n + i) for i in range(10)]
    n += 10
    for one in own:
        say(f"try {one}")
    entries = [{"Id": one, "MessageBody": one} for one in own]
    sent = aws("send-message-batch", queue_url=url, entries=json.dumps(entries))
    for each in (sent or {}).get("Successful", []):
        confirmed.add(each["Id"])
        say(f"confirm {each['Id']}")
time.sleep(600)
