"""Worker processes on one machine. A dead worker is replaced and its task repeated. Called by `command`."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from edgeemo.batch.work import Job, Outcome, Task, Worker

if sys.platform == "win32":  # Windows has a different class for pipes
    from multiprocessing.connection import PipeConnection as Connection
else:
    from multiprocessing.connection import Connection

log = logging.getLogger(__name__)

ATTEMPTS = 3  # a file fails if this many processes died while reading it
POLL_S = 0.2
REPORT_S = 0.5  # interval of progress reports
STOP_S = 5.0  # time for a worker to end

OnProgress = Callable[[Task, int, float, float], None]
OnOutcome = Callable[[Task, Outcome], "list[Task]"]  # returns follow-up tasks, which run first


@dataclass
class _WorkerProcess:
    """The parent's view of a worker process."""

    process: BaseProcess
    connection: Connection
    task: Task | None = None


class Pool:
    """Runs tasks in `count` processes, each with its own engine.

    Args:
        job: common settings of all tasks.
    """

    def __init__(self, job: Job, count: int) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._job = job
        self._count = count
        self._workers: list[_WorkerProcess] = []
        self._attempts: dict[Task, int] = {}

    def run(self, tasks: list[Task], on_progress: OnProgress, on_outcome: OnOutcome, stop: threading.Event) -> None:
        """Return when all tasks and their follow-ups have an outcome, or soon after `stop` is set."""
        waiting = deque(tasks)
        try:
            while not stop.is_set() and (waiting or any(worker.task for worker in self._workers)):
                while waiting and len(self._workers) < min(self._count, len(waiting) + self._busy()):
                    self._workers.append(self._start())
                for worker in self._workers:
                    if worker.task is None and waiting:
                        self._give(worker, waiting.popleft())
                self._listen(waiting, on_progress, on_outcome)
        finally:
            self._end()

    def _busy(self) -> int:
        return sum(worker.task is not None for worker in self._workers)

    def _start(self) -> _WorkerProcess:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._job), daemon=True)
        process.start()
        theirs.close()
        return _WorkerProcess(process, ours)

    def _give(self, worker: _WorkerProcess, task: Task) -> None:
        worker.task = task
        with contextlib.suppress(OSError):  # it just died; `_listen` handles this
            worker.connection.send(task)

    def _listen(self, waiting: deque[Task], on_progress: OnProgress, on_outcome: OnOutcome) -> None:
        ready = wait([worker.connection for worker in self._workers], POLL_S)
        for worker in list(self._workers):
            if worker.connection not in ready:
                continue
            try:
                message = worker.connection.recv()
            except (EOFError, OSError):
                self._replace_dead(worker, waiting, on_outcome)
                continue
            assert worker.task is not None
            if isinstance(message, Outcome):
                task, worker.task = worker.task, None
                waiting.extendleft(reversed(on_outcome(task, message)))
            else:
                on_progress(worker.task, *message)

    def _replace_dead(self, worker: _WorkerProcess, waiting: deque[Task], on_outcome: OnOutcome) -> None:
        self._workers.remove(worker)
        worker.connection.close()
        worker.process.join(STOP_S)
        task, code = worker.task, worker.process.exitcode
        if task is None:
            return
        self._attempts[task] = self._attempts.get(task, 0) + 1
        how = f"by signal {-code}" if code is not None and code < 0 else f"with code {code}"
        if self._attempts[task] < ATTEMPTS:
            log.warning("the process reading %s ended %s; reading the file again", task.file.file, how)
            waiting.appendleft(task)
            return
        reason = f"the process reading it ended {ATTEMPTS} times, last {how}"
        # not final, because the machine may have run out of memory
        waiting.extendleft(reversed(on_outcome(task, Outcome("failed", reason, final=False))))

    def _end(self) -> None:
        for worker in self._workers:
            worker.connection.close()  # idle workers end when the connection closes
        for worker in self._workers:
            if worker.task is not None:
                worker.process.terminate()
        deadline = time.monotonic() + STOP_S
        for worker in self._workers:
            worker.process.join(max(0.1, deadline - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers = []


def _serve(connection: Connection, job: Job) -> None:
    """A worker process: tasks in, outcomes out, until its parent closes the connection or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl+C
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    worker = Worker(job)
    reported = 0.0

    def progress(*done: float) -> None:
        nonlocal reported
        now = time.monotonic()
        if now - reported >= REPORT_S:
            reported = now
            connection.send(done)

    with contextlib.suppress(EOFError, OSError), contextlib.closing(worker):
        while True:
            connection.send(worker.do(connection.recv(), progress))


def _end_with(parent: BaseProcess) -> None:
    """End this process when its parent dies."""
    wait([parent.sentinel])
    os._exit(1)
