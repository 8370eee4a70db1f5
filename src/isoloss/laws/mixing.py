"""Data mixing laws: the loss on a domain against the shares of domains in the training data.

For any size and number of steps, nest three laws: a power law with a floor in steps for each
mixture and size (`broken_law(0, STEPS)`), one in N over what it says of the wanted steps, and a
mixing law over what that says of the wanted size.
"""

from __future__ import annotations

from collections.abc import Sequence

from isoloss.errors import InputError
from isoloss.laws.law import Input, Law, Target, positive, real


def mixing_law(domains: Sequence[str], target: str, *, complete: bool = True) -> Law:
    """The law L(r) = c + k exp(sum_j t_j r_j) of the loss on one domain.

    Ye et al. 2024, arXiv:2403.16952. Shares that sum to one leave k open, since
    k exp(sum_j t_j r_j) = exp(sum_j (t_j + ln k) r_j): k is then 1, and taken up by the t_j.

    Args:
        domains: columns of the shares r_j.
        target: column of the loss on the domain.
        complete: whether the shares sum to one; otherwise k is a parameter.

    Raises:
        InputError: there are no domains, or one is named twice.
    """
    if not domains or len(set(domains)) < len(domains):
        raise InputError(
            "no mixture of domains",
            where="mixing law",
            found=", ".join(domains) or "none",
            expected="one or more columns, each once",
        )
    slopes = [f"t{index}" for index in range(1, len(domains) + 1)]
    exponent = " + ".join(f"{t}*{r}" for t, r in zip(slopes, domains, strict=True))
    linear = ("c",) if complete else ("c", "k")
    return Law(
        name="mixing",
        title="Data mixing: c + k exp(sum of t_j r_j)",
        formula=f"c + {'' if complete else 'k*'}exp({exponent})",
        parameters=(
            *(positive(name) for name in linear),
            *(real(name, start=(-3.0, 2.0)) for name in slopes),
        ),
        linear=linear,
        inputs=tuple(
            Input(domain, f"r_{{{index}}}", "share of the training data", positive=False)
            for index, domain in enumerate(domains, 1)
        ),
        target=Target(target, "L", "the table's own unit"),
        source="Ye et al. 2024, arXiv:2403.16952",
        remark="One fit for each domain whose loss is measured; runs that differ in size or steps "
        "need laws of their own.",
    )
