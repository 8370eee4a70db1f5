"""Mixtures in which a domain that is left out costs far more than one that is made small."""

from __future__ import annotations

from collections.abc import Sequence

from isoloss.errors import InputError
from isoloss.laws.law import Input, Law, Target, positive, real


def own_share_law(domains: Sequence[str], own: str, target: str, *, complete: bool = True) -> Law:
    """The law k (r_own + epsilon)^-alpha exp(sum of t_j r_j over the other domains).

    The first factor is that of the D-CPT law, Que et al. 2024, arXiv:2406.01375, where epsilon
    keeps the loss finite without the domain; the second that of Ye et al. 2024, arXiv:2403.16952.
    Shares that sum to one do not tell all t_j apart from the first factor: the last of the other
    domains then has none, and t_j says how much more harm than this one the j-th does.

    Args:
        domains: columns of all shares.
        own: the column among them of the domain whose loss is predicted.
        target: column of the loss on it.
        complete: whether the shares sum to one.

    Raises:
        InputError: fewer than two domains, one named twice, or `own` not among them.
    """
    if len(domains) < 2 or len(set(domains)) < len(domains) or own not in domains:
        raise InputError(
            "no share of its own among others",
            where="own-share law",
            found=f"{own} of " + (", ".join(domains) or "none"),
            expected="two or more columns, each once, one of them the domain's own",
        )
    others = {f"t{j}": each for j, each in enumerate(domains, 1) if each != own}
    if complete:
        others.popitem()
    factors = [f"k*({own} + epsilon)**(-alpha)"]
    if others:
        slopes = " + ".join(f"{slope}*{domain}" for slope, domain in others.items())
        factors.append(f"exp({slopes})")
    return Law(
        name="own-share",
        title="Own share and others: k (r_own + epsilon)^-alpha exp(sum of t_j r_j)",
        formula="*".join(factors),
        inputs=tuple(
            Input(domain, f"r_{{{index}}}", "share of the training data", positive=False)
            for index, domain in enumerate(domains, 1)
        ),
        target=Target(target, "L", "the table's own unit"),
        parameters=(
            positive("k", unit=target),
            positive("epsilon", start=(1e-3, 0.3)),
            positive("alpha", start=(0.02, 0.6), upper=5.0),
            *(real(slope, start=(-1.0, 1.0)) for slope in others),
        ),
        linear=("k",),
        source="Que et al. 2024, arXiv:2406.01375; Ye et al. 2024, arXiv:2403.16952",
        remark="One fit for each domain whose loss is measured, with three or more of its shares. "
        "Runs that differ in size or steps need fits of their own.",
    )
