"""Run tasks on an existing Ray cluster, whose nodes share a file system. Called by `command`.

Ray schedules and retries tasks and survives lost nodes. Frames never enter Ray's object store: a task receives paths
and returns counts.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import Any

import ray

from edgeemo.batch.pool import OnOutcome, OnProgress
from edgeemo.batch.work import Job, Outcome, Task, Worker
from edgeemo.errors import ConfigError

RETRIES = 3  # retries of a task whose process or node died
AHEAD = 2  # tasks submitted per core of the cluster
POLL_S = 0.5

_workers: dict[Job, Worker] = {}  # per process of Ray, so that models are loaded once


class Cluster:
    """A Ray cluster that processes the tasks.

    Args:
        job: common settings of all tasks.
        address: address of the cluster's head, or "auto".

    Raises:
        ConfigError: there is no cluster at this address.
    """

    def __init__(self, job: Job, address: str) -> None:
        self._job = job
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ConfigError(f"no Ray cluster at {address!r} ({reason}); start one with: ray start --head") from error

    def run(self, tasks: list[Task], on_progress: OnProgress, on_outcome: OnOutcome, stop: threading.Event) -> None:
        """See `Pool.run`; progress is reported when tasks end."""
        waiting, running = deque(tasks), dict[Any, Task]()
        remote = ray.remote(num_cpus=1, max_retries=RETRIES)(_recognise)
        job = ray.put(self._job)
        try:
            while not stop.is_set() and (waiting or running):
                room = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
                while waiting and len(running) < room:
                    task = waiting.popleft()
                    running[remote.remote(job, task)] = task
                ready, _ = ray.wait(list(running), num_returns=1, timeout=POLL_S)
                for reference in ready:
                    task = running.pop(reference)
                    waiting.extendleft(reversed(on_outcome(task, _outcome(reference))))
        finally:
            for reference in running:
                ray.cancel(reference, force=True)
            ray.shutdown()


def _recognise(job: Job, task: Task) -> Outcome:
    """Recognise in a process of the cluster."""
    if job not in _workers:
        _workers[job] = Worker(job)
    return _workers[job].do(task, lambda *done: None)


def _outcome(reference: Any) -> Outcome:
    try:
        outcome: Outcome = ray.get(reference)
    except ray.exceptions.RayError as error:
        return Outcome("failed", f"the task failed on the cluster: {' '.join(str(error).split())[:200]}", final=False)
    return outcome
