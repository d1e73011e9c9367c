"""Asks a worker for a sum and waits for the result; then sends it numbers, each confirmed by the broker."""
import sys
import threading
import time

from tasks import add, number

total = add.delay(2, 3).get(timeout=30)
assert total == 5, total
print("job a task was run by a worker and its result came back", flush=True)

stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
n = 0
while not stop.is_set():
    n += 1
    print(f"try {n}", flush=True)
    try:
        number.apply_async((n,), retry=False)
        print(f"confirm {n}", flush=True)
    except Exception:
        # Not known.
        time.sleep(0.05)
stop.wait()
time.sleep(600)
