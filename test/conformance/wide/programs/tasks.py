"""A Celery application: one task with a result, one that says what it got and is acked when it is done."""
import os

from celery import Celery

app = Celery("tasks", broker=os.environ["BROKER"], backend="rpc://")
app.conf.update(
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    task_acks_late=True,
    worker_redirect_stdouts=False,
)


@app.task
def add(a, b):
    return a + b


@app.task(ignore_result=True)
def number(n):
    print(f"receive {n}", flush=True)
