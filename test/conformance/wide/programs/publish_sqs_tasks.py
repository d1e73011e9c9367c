"""Sends numbers to a worker over SQS, each confirmed by the answer."""
import sys
import threading
import time

from sqs_tasks import number

stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
n = 0
while not stop.is_set():
    n += 1
    print(f"try {n}", flush=True)
    try:
        number.apply_async((n,), retry=False)
        print(f"confirm {n}", flush=True)
        if n == 1:
            print("job a task was sent over SQS", flush=True)
    except Exception:
        # Not known.
        time.sleep(0.05)
    # A worker of one process keeps up.
    time.sleep(0.02)
stop.wait()
time.sleep(600)
