"""Runs tasks on Ray, on this machine or a cluster: a pool of actors for each shape of resources.

Ray places, starts and replaces the workers. It holds no data and no state of the run: a task names a
part, its result is a file, and what is done is known from the files.
"""

import contextlib
import functools
import logging
import os
import re
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gritmill.pipeline.engine import terminal
from gritmill.pipeline.engine.plan import Resources, Step
from gritmill.pipeline.engine.receipts import Receipt
from gritmill.pipeline.engine.runners.base import Finished
from gritmill.pipeline.engine.scheduler import DEATHS_OF_A_ROW, CannotSplit, Scheduler
from gritmill.pipeline.engine.tasks import Task
from gritmill.pipeline.engine.worker import Worker
from gritmill.schemas.errors import UserError

log = logging.getLogger(__name__)

# Finding the row that kills takes about 2 * log2(rows of a part) deaths in a row; more than this
# means that the workers die of something else.
MAX_DEATHS_IN_A_ROW = 60


class RayRunner:
    """Actors are started as there is work for them and kept from pass to pass."""

    def __init__(self, address: str | None = None) -> None:
        """`address` as `ray.init` takes it; None is `RAY_ADDRESS`, or else this machine."""
        self.address = address
        self._pools: dict[Resources, _Pool] = {}

    def start(self, make_worker: Callable[[], Worker], steps: Sequence[Step]) -> None:
        """Remembers what to run; Ray itself is started by the first task, if there is one."""
        self._make_worker = make_worker
        self._steps = steps

    def _connect(self) -> None:
        """Connects, and divides the machine's resources among the pools. Raises `UserError` if
        nobody answers or a step needs more than there is."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray

        address = self.address or os.environ.get("RAY_ADDRESS")
        try:
            _knock(address)
            ray.init(
                # Without an address Ray would join whatever was last started on this machine.
                address=address or "local",
                include_dashboard=None if address else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except OSError as error:
            raise UserError(
                f"no Ray cluster answers at {address}: {error}. Start one with `ray start --head`."
            ) from error
        have = ray.cluster_resources()
        cpus, gpus = have.get("CPU", 0), have.get("GPU", 0)
        self._shapes = [_settled(step.resources, gpus) for step in self._steps]
        sizes = divide(self._shapes, cpus, gpus)
        # Pools that do not fit side by side share the cores, or one would wait for ever.
        share = min(1.0, cpus / sum(shape.cpus for shape in sizes))
        actor = ray.remote(_Actor)
        payload = ray.put((self._make_worker, str(Path.cwd())))
        for shape, size in sizes.items():
            placed = actor.options(
                num_cpus=shape.cpus * share, num_gpus=shape.gpus, **_environment(shape.pinned_packages)
            )
            self._pools[shape] = _Pool(size, functools.partial(placed.remote, [payload]))

    def execute(self, scheduler: Scheduler, finished: Finished) -> None:
        if not scheduler.remaining:
            return
        if not self._pools:
            self._connect()
        import ray

        steps_of = {
            shape: {step for step in scheduler.steps if self._shapes[step] == shape} for shape in self._pools
        }
        running: dict[Any, tuple[Task, _Pool, Any]] = {}
        deaths = 0
        while True:
            for shape, pool in self._pools.items():
                while pool.has_room and (task := scheduler.take(steps_of[shape])):
                    worker = pool.take()
                    running[worker.run.remote(task)] = (task, pool, worker)
            if not running:
                return
            ray.wait(list(running), num_returns=1)
            done, _ = ray.wait(list(running), num_returns=len(running), timeout=0)
            for reference in done:
                task, pool, worker = running.pop(reference)
                try:
                    receipt = ray.get(reference)
                except ray.exceptions.RuntimeEnvSetupError as error:
                    raise _no_environment(self._shapes[task.step], error) from error
                except ray.exceptions.RayActorError as error:
                    deaths += 1
                    log.warning("a worker died on %s: %s", task.unit.id, error)
                    pool.lose(worker)
                    if deaths >= MAX_DEATHS_IN_A_ROW:
                        raise UserError(
                            f"{deaths} workers died one after another; the last one said: {error}"
                        ) from error
                    try:
                        scheduler.died(task)
                    except CannotSplit:
                        raise UserError(
                            f"workers keep dying on {task.unit.spec}; the last one said: {error}"
                        ) from error
                except ray.exceptions.RayTaskError as error:
                    raise _cause(error) from None
                else:
                    deaths = 0
                    pool.give_back(worker)
                    if scheduler.finished(task):
                        finished(task, receipt)

    def call(self, task: Task) -> Receipt:
        if not self._pools:
            self._connect()
        import ray

        pool = self._pools[self._shapes[task.step]]
        said: BaseException | None = None
        for _ in range(DEATHS_OF_A_ROW):
            worker = pool.take()
            try:
                receipt: Receipt = ray.get(worker.run.remote(task))
            except ray.exceptions.RuntimeEnvSetupError as error:
                raise _no_environment(self._shapes[task.step], error) from error
            except ray.exceptions.RayActorError as error:
                pool.lose(worker)
                said = error
            except ray.exceptions.RayTaskError as error:
                raise _cause(error) from None
            else:
                pool.give_back(worker)
                return receipt
        raise UserError(f"workers keep dying on {task.unit.id}; the last one said: {said}") from said

    def close(self) -> None:
        import ray

        for pool in self._pools.values():
            pool.close()
        if self._pools:
            self._pools = {}
            ray.shutdown()


def divide(shapes: Sequence[Resources], cpus: float, gpus: float) -> dict[Resources, int]:
    """Workers for each pool: one at least, and of one_worker steps no more; then those with GPUs take all
    GPUs, the others what is left.

    Raises `UserError` for a step that is larger than the cluster.

    >>> divide([Resources(1, 0), Resources(1, 1)], cpus=16, gpus=2)
    {Resources(cpus=1, gpus=1): 2, Resources(cpus=1, gpus=0): 14}
    """
    ordered = sorted(set(shapes), key=lambda s: (-s.gpus, -s.cpus, s.one_worker))
    for shape in ordered:
        if shape.cpus > cpus or shape.gpus > gpus:
            raise UserError(
                f"a step needs {shape.cpus:g} CPUs and {shape.gpus:g} GPUs, and Ray has {cpus:g} and "
                f"{gpus:g}; set the stage's `cpus` and `gpus`, or use a larger cluster"
            )
    sizes = dict.fromkeys(ordered, 1)
    for shape in (shape for shape in ordered if not shape.one_worker):
        free_cpus = cpus - sum(other.cpus * size for other, size in sizes.items())
        free_gpus = gpus - sum(other.gpus * size for other, size in sizes.items())
        more = int(free_cpus // shape.cpus)
        if shape.gpus:
            more = min(more, int(free_gpus // shape.gpus))
        sizes[shape] += max(0, more)
    return sizes


def _knock(address: str | None) -> None:
    """Raises `OSError` if nobody answers at a `host:port`, for which Ray itself would wait minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


def _settled(resources: Resources, gpus: float) -> Resources:
    """`gpus: null` in a recipe takes a GPU if there is one."""
    return resources._replace(gpus=1.0 if gpus >= 1 else 0.0) if resources.gpus < 0 else resources


def _environment(pinned: Sequence[str]) -> dict[str, Any]:
    """What makes Ray give a worker its own versions of some packages, in a copy of this environment."""
    if not pinned:
        return {}
    # What else is installed may want other versions; the stage has no use for that, and pip would complain.
    return {"runtime_env": {"pip": {"packages": list(pinned), "pip_check": False}}}


def _no_environment(shape: Resources, error: Exception) -> UserError:
    reasons = re.findall(r"(?:ERROR|RuntimeError): .*", str(error)) or [" ".join(str(error).split())[-300:]]
    return UserError(
        f"no worker can be had with {', '.join(shape.pinned_packages)}: {' '.join(reasons)[:500]} "
        "(virtualenv and pip install them where the worker is; an index must be in its reach)"
    )


def _cause(error: Any) -> BaseException:
    """What the task raised, with the remote traceback in its text unless the user is at fault."""
    cause = error.cause
    return cause if isinstance(cause, UserError) else error


class _Actor:
    """A worker in a Ray process. Makes itself at its first task, so that its errors are that task's."""

    def __init__(self, payload: list[Any]) -> None:
        self._payload = payload
        self._worker: Worker | None = None

    def run(self, task: Task) -> Receipt:
        if self._worker is None:
            import ray

            terminal.guard()
            make_worker, folder = ray.get(self._payload[0])
            # The recipe's relative paths are relative to where the user started it.
            with contextlib.suppress(OSError):
                os.chdir(folder)
            self._worker = make_worker()
        return self._worker.run(task)


class _Pool:
    """Actors of one shape of resources."""

    def __init__(self, size: int, start: Callable[[], Any]) -> None:
        self.size = size
        self._start = start
        self._idle: list[Any] = []
        self._alive: list[Any] = []

    @property
    def has_room(self) -> bool:
        return bool(self._idle) or len(self._alive) < self.size

    def take(self) -> Any:
        if not self._idle:
            self._alive.append(self._start())
            return self._alive[-1]
        return self._idle.pop()

    def give_back(self, worker: Any) -> None:
        self._idle.append(worker)

    def lose(self, worker: Any) -> None:
        self._alive.remove(worker)

    def close(self) -> None:
        import ray

        for worker in self._alive:
            with contextlib.suppress(Exception):  # of those that have died on their own
                ray.kill(worker)
