"""Width law: how the loss falls with the width of a model that holds more features than it has."""

from __future__ import annotations

from isoloss.laws.law import Input, Law, positive

WIDTH = Input("width", "m", "width of the residual stream", improves=True, usual=(64, 2e4))

WIDTH_LAW = Law(
    name="width",
    title="Width: E + A/m^alpha",
    formula="E + A/width**alpha",
    inputs=(WIDTH,),
    parameters=(positive("E"), positive("A"), positive("alpha", start=(0.1, 2.0), upper=5.0)),
    linear=("E", "A"),
    source="Liu et al. 2025 (Superposition), arXiv:2505.10465",
    remark="A diagnostic: fit families together with A and alpha shared, and each keeps an offset "
    "E of its own. The authors find A = 476.0763 and alpha = 0.9098 over 16 families and corpora.",
)
