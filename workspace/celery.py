"""Celery: background work, in a thread of the server or, with ``REDIS_URL``, in workers of its own."""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

from celery import Celery, Task
from celery.signals import task_postrun, worker_ready
from kombu.exceptions import OperationalError

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "workspace.settings")

logger = logging.getLogger(__name__)


class Woken(Task):
    """A task that has its work from rows. A broker that is away is no loss, and no error of whoever asked for it: what
    waits is queued again when a worker starts."""

    def apply_async(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().apply_async(*args, **kwargs)
        except OperationalError:
            logger.warning("The queue does not answer; %s waits for the next start of a worker.", self.name)
            return None


app = Celery("onepane", task_cls=Woken)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@task_postrun.connect
def close_connections(**kwargs: object) -> None:
    """A pool's thread keeps no connection between tasks."""
    from django.db import connections

    connections.close_all()


class EmbeddedWorker:
    """A worker in a thread of this process, on the in-memory broker: it only directs, children do the work."""

    def __init__(self) -> None:
        self._controller: Any = None
        self._thread = threading.Thread(target=self._work, name="celery", daemon=True)

    def start(self) -> None:
        """Returns at once; what an earlier server left is queued again when the worker is ready."""
        self._thread.start()

    def stop(self, deadline: float) -> None:
        """Ask the worker to end; a task that is still running is queued again from its row at the next start."""
        if self._controller is not None:
            self._controller.stop(exitcode=0)
            self._thread.join(deadline)

    def _work(self) -> None:
        # All in this thread: the controller touches the database, which no event loop may do.
        from celery.worker import WorkController

        self._controller = WorkController(
            app=app,
            hostname="embedded",
            pool_cls="threads",
            concurrency=app.conf.worker_concurrency,
            loglevel="WARNING",
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            quiet=True,
            ready_callback=lambda consumer: worker_ready.send(sender=consumer),  # as a worker of its own tells
        )
        self._controller.start()
