"""Launchers by name: `local`, `ray`, `ray:ADDRESS`, `slurm`, `slurm:local`."""

from __future__ import annotations

from pathlib import Path

from isoloss.errors import InputError
from isoloss.training.launching import Launcher
from isoloss.training.plan import Plan

# Those that do runs on the machine they are called on.
THIS_MACHINE = ("local", "ray", "slurm:local")


def make_launcher(name: str, plan: Plan, folder: Path, workers: int | None = None) -> Launcher:
    """The launcher of a name.

    Args:
        name: "local" for this machine; "ray" for a Ray cluster of this machine, "ray:ADDRESS" for
            one that runs; "slurm" for Slurm, "slurm:local" for submitit without a cluster.
        plan: what it will do.
        folder: of the sweep.
        workers: runs at a time; by default as many as there is room for.

    Raises:
        InputError: there is no such launcher, or it cannot be had here.
        MissingExtraError: its package is not installed.
    """
    kind, _, detail = name.partition(":")
    if kind == "local" and not detail:
        from isoloss.training.local_pool import LocalPool

        return LocalPool(workers, cpus=plan.trainer.cpus, gpus=plan.trainer.gpus)
    if kind == "ray":
        from isoloss.training.ray_launcher import RayLauncher

        return RayLauncher(detail, workers)
    if kind == "slurm" and detail in ("", "local"):
        from isoloss.training.slurm_launcher import SlurmLauncher

        own = folder.resolve() / "slurm"
        return SlurmLauncher(own, plan.trainer.slurm, workers, cluster=detail or "slurm")
    raise InputError(
        "unknown launcher",
        where="--launcher",
        found=repr(name),
        expected="local, ray, ray:ADDRESS, slurm or slurm:local",
    )
