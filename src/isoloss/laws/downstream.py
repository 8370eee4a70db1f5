"""From the loss to the error on downstream tasks."""

from __future__ import annotations

from isoloss.laws.law import Coordinates, Input, Law, Published, Target, positive

LOSS_INPUT = Input("loss", "L", "the table's own unit", usual=(1.5, 5.0))
ERROR = Target("error", r"\mathrm{Err}", "share of wrong answers")


def _published(name: str, data: str, tasks: int, values: tuple[float, float, float]) -> Published:
    return Published(
        f"{name}-{tasks}",
        dict(zip(("epsilon", "k", "gamma"), values, strict=True)),
        source="Gadre et al. 2024, arXiv:2403.08540, released model and evaluation files",
        data=f"six models trained on {data}, mean top-1 error over {tasks} tasks, loss on C4",
        loss="nats/token",
        params="total",
        warning="recomputed from the released runs; agrees with the paper after rounding",
    )


DOWNSTREAM = Law(
    name="downstream",
    title="Downstream error: epsilon - k exp(-gamma L)",
    formula="epsilon - k*exp(-gamma*loss)",
    parameters=(positive("epsilon"), positive("k"), positive("gamma")),
    coordinates=Coordinates(
        parameters=(positive("ceiling"), positive("gain"), positive("rate", start=(0.3, 10.0))),
        linear=("ceiling", "gain"),
        formula="error0*(ceiling - gain*exp(-rate*(loss/loss0 - 1)))",
        published={
            "epsilon": "ceiling*error0",
            "k": "gain*error0*exp(rate)",
            "gamma": "rate/loss0",
        },
        working={
            "ceiling": "epsilon/error0",
            "gain": "k*exp(-gamma*loss0)/error0",
            "rate": "gamma*loss0",
        },
    ),
    inputs=(LOSS_INPUT,),
    target=ERROR,
    source="Gadre et al. 2024, arXiv:2403.08540, equation 5",
    remark="For the mean over many tasks; single tasks are not predictable in this way.",
    published=(
        _published("c4", "C4", 17, (0.8497, 2.0789, 0.7561)),
        _published("c4", "C4", 46, (0.7589, 1.2885, 0.9722)),
        _published("redpajama", "RedPajama", 17, (0.8570, 2.2065, 0.7146)),
        _published("redpajama", "RedPajama", 46, (0.7608, 1.3229, 0.8907)),
        _published("refinedweb", "RefinedWeb", 17, (0.8653, 2.2148, 0.7070)),
        _published("refinedweb", "RefinedWeb", 46, (0.7677, 1.1281, 0.8215)),
    ),
)

EMERGENT = Law(
    name="emergent",
    title="Emergence: epsilon - k max(tau - L, 0), linear in the loss below an onset tau",
    formula="epsilon - k*max(tau - loss, 0)",
    parameters=(positive("epsilon"), positive("k"), positive("tau")),
    coordinates=Coordinates(
        parameters=(positive("level"), positive("descent"), positive("at", start=(0.7, 1.5))),
        linear=("level", "descent"),
        formula="error0*(level - descent*max(at - loss/loss0, 0))",
        published={
            "epsilon": "level*error0",
            "k": "descent*error0/loss0",
            "tau": "at*loss0",
        },
        working={
            "level": "epsilon/error0",
            "descent": "k*loss0/error0",
            "at": "tau/loss0",
        },
    ),
    inputs=(LOSS_INPUT,),
    target=ERROR,
    source="second stage of FLP, Chen et al. 2024, arXiv:2410.08527",
    remark="For one task, with intermediate checkpoints on both sides of the onset; without runs "
    "above it epsilon and tau cannot be told apart.",
)
