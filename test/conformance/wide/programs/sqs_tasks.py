"""A Celery application over SQS: a task says what it got and is acked when it is done."""
import os

from celery import Celery
from kombu.transport import SQS


class Channel(SQS.Channel):
    """
    kombu 5.7.0 makes an empty list of a poll that failed, and then reads it as a dict: its worker ends, or lives on and
    never polls again, with every endpoint that goes away for a moment.
    """

    def _on_messages_ready(self, queue, qname, messages):
        return super()._on_messages_ready(queue, qname, messages or {})


SQS.Transport.Channel = Channel

app = Celery("sqs_tasks", broker=os.environ["BROKER"].replace("http://", "sqs://test:test@"))
app.conf.update(
    broker_transport_options={
        "region": "us-east-1",
        "is_secure": False,
        "visibility_timeout": 5,
        "wait_time_seconds": 1,
        "polling_interval": 0.1,
    },
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    task_acks_late=True,
    task_ignore_result=True,
    worker_enable_remote_control=False,
    worker_redirect_stdouts=False,
)


@app.task
def number(n):
    print(f"receive {n}", flush=True)
