"""Work spread over threads, or over whatever joblib backend is in force: processes, Ray, Dask."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import Any, TypeVar

from isoloss.errors import InputError, MissingExtraError

Task = TypeVar("Task")
Result = TypeVar("Result")

# Tasks a worker of a cluster gets: enough to even out, few enough that shipping them costs little.
_TASKS_PER_WORKER = 4
_LOOPBACK = "127.0.0.1"


def available_threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spread(
    work: Callable[[Sequence[Task]], list[Result]],
    tasks: Sequence[Task],
    *,
    threads: int | None = None,
    advance: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Do tasks in order, several at a time.

    Inside `cluster`, or inside a `joblib.parallel_config` of the caller, the workers of that
    backend do them, otherwise threads of this process. Nothing in a task may depend on where
    it is done.

    Args:
        work: does some of the tasks, one after the other; a backend of processes pickles it.
        tasks: what there is to do.
        threads: at most this many; all processors where not given. Other backends have their own
            number of workers.
        advance: called with the result of each finished task.
    """
    parallel = _in_force()
    if parallel is not None and len(tasks) > 1:
        from joblib import delayed, effective_n_jobs

        parts = min(len(tasks), _TASKS_PER_WORKER * effective_n_jobs(parallel.n_jobs))
        cuts = [round(part * len(tasks) / parts) for part in range(parts + 1)]
        done = parallel(delayed(_do)(work, tasks[begin:end]) for begin, end in pairwise(cuts))
        results = [result for part in done for result in part]
        if advance:
            for result in results:
                advance(result)
        return results

    def alone(task: Task) -> Result:
        (result,) = work([task])
        if advance:
            advance(result)
        return result

    threads = threads or available_threads()
    if threads > 1 and len(tasks) > 1:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(alone, tasks))
    return [alone(task) for task in tasks]


@contextmanager
def cluster(name: str) -> Iterator[None]:
    """Let the workers of a joblib backend do all fits inside the context.

    Args:
        name: "loky" for processes of this machine; "ray" or "dask" for a cluster of this machine's
            processors that lives as long as the context; "ray:ADDRESS" or "dask:ADDRESS" for one
            that runs elsewhere, with Isoloss installed on its workers.

    Raises:
        InputError: there is no such backend.
        MissingExtraError: its package is not installed.
    """
    kind, _, address = name.partition(":")
    if kind not in _STARTERS or (address and kind == "loky"):
        raise InputError(
            "unknown cluster",
            where="--cluster",
            found=repr(name),
            expected="loky, ray, ray:ADDRESS, dask or dask:ADDRESS",
        )
    with ExitStack() as stack:
        try:
            import joblib

            _STARTERS[kind](address, stack)
        except ModuleNotFoundError as error:
            extra = "dask" if kind == "dask" else "ray"
            raise MissingExtraError(
                f"fits on {kind}", package=str(error.name), extra=extra
            ) from error
        stack.enter_context(joblib.parallel_config(kind, n_jobs=-1))
        yield


def _start_nothing(address: str, stack: ExitStack) -> None:
    """Processes start when they are first needed."""


def _start_ray(address: str, stack: ExitStack) -> None:
    import ray
    from ray.util.joblib import register_ray

    if not ray.is_initialized():
        if address:
            ray.init(address=address, log_to_driver=False)
        else:
            # A cluster of one machine has no business on its network.
            ray.init(
                address="local",
                include_dashboard=False,
                log_to_driver=False,
                _node_ip_address=_LOOPBACK,
            )
        stack.callback(ray.shutdown)
    register_ray()


def _start_dask(address: str, stack: ExitStack) -> None:
    from distributed import Client, LocalCluster

    if address:
        stack.enter_context(Client(address))
        return
    own = LocalCluster(
        n_workers=available_threads(), threads_per_worker=1, host=_LOOPBACK, dashboard_address=None
    )
    stack.enter_context(own)
    stack.enter_context(Client(own))


_STARTERS: dict[str, Callable[[str, ExitStack], None]] = {
    "loky": _start_nothing,
    "ray": _start_ray,
    "dask": _start_dask,
}


def _do(work: Callable[[Sequence[Task]], list[Result]], tasks: Sequence[Task]) -> list[Result]:
    """Call `work`, which Dask could not take itself: it wants functions that hash."""
    return work(tasks)


def _in_force() -> Any:
    """A `joblib.Parallel` over the backend that the caller has put in force; None without one."""
    # Who has not imported joblib has put none of its backends in force.
    if "joblib" not in sys.modules:
        return None
    from joblib import Parallel
    from joblib.parallel import ThreadingBackend, get_active_backend

    backend, jobs = get_active_backend(prefer="threads")
    return None if isinstance(backend, ThreadingBackend) else Parallel(n_jobs=jobs or -1)
