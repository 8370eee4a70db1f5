"""Train-to-test: what a model achieves when it may answer k times, over N, D and k."""

from __future__ import annotations

from isoloss.laws.law import PARAMS, TOKENS, Input, Law, Target, positive, real

SAMPLES = Input("samples", "k", "answers drawn per question", improves=True, usual=(1, 1e3))
TASK_LOSS = Input("task_loss", "L", "negative log likelihood of the right answer", usual=(0.3, 3.0))
PASS_AT_K = Target("pass_at_k", r"\mathrm{pass@}k", "share of questions", higher_is_better=True)

_SOURCE = "Test-Time Scaling Makes Overtraining Compute-Optimal, arXiv:2604.01411"

TRAIN_TO_TEST = Law(
    name="train-to-test",
    title="Train-to-test: E + A/N^alpha + B/D^beta + G/k^gamma",
    formula="E + A/params**alpha + B/tokens**beta + G/samples**gamma",
    inputs=(PARAMS, TOKENS, SAMPLES),
    parameters=(
        positive("E"),
        positive("A"),
        positive("B"),
        positive("G"),
        positive("alpha", start=(0.05, 1.0), upper=3.0),
        positive("beta", start=(0.05, 1.0), upper=3.0),
        positive("gamma", start=(0.05, 1.0), upper=3.0),
    ),
    linear=("E", "A", "B", "G"),
    source=f"{_SOURCE}, approach 1",
    remark="The loss is the mean of -log pass@k; at k = 1 its floor is E + G. No coefficients are "
    "printed.",
)


def _pass_at_k(mean: str, concentration: str) -> str:
    """Formula of the mean of 1 - (1 - p)^k over a Beta distribution of chances p.

    That of equal chances and what a finite concentration adds, both of which keep their digits
    where gamma functions of the concentration cancel.
    """
    return (
        f"-expm1(samples*log1p(-({mean})) + lrise((1 - {mean})*{concentration}, samples)"
        f" - lrise({concentration}, samples))"
    )


PASS_AT_K_OF_LOSS = Law(
    name="pass-at-k-of-loss",
    title="pass@k of k answers, chances Beta distributed about a logistic function of the loss",
    formula=_pass_at_k(
        "theta2/(1 + exp(theta1*(task_loss - theta0)))", "exp(theta3 + theta4*task_loss)"
    ),
    inputs=(TASK_LOSS, SAMPLES),
    target=PASS_AT_K,
    parameters=(
        real("theta0", start=(0.1, 3.0)),
        positive("theta1", start=(0.5, 10.0)),
        positive("theta2", start=(0.3, 0.99), upper=1.0),
        real("theta3", start=(-2.0, 3.0)),
        real("theta4", start=(-2.0, 2.0)),
    ),
    source=f"{_SOURCE}, approach 2",
    remark="For one answer this is the logistic function alone. No coefficients are printed.",
)

# The paper's floor E and the size of its loss leave no trace in pass@k: theta0 and theta3 take up
# the one, theta1 = 1 fixes the other.
_REDUCIBLE = "A/params**alpha + B/tokens**beta"

PASS_AT_K_LAW = Law(
    name="pass-at-k",
    title="pass@k over N, D and k: Chinchilla inside a Beta distribution of chances",
    formula=_pass_at_k(
        f"theta2/(1 + exp({_REDUCIBLE} - theta0))", f"exp(theta3 + theta4*({_REDUCIBLE}))"
    ),
    inputs=(PARAMS, TOKENS, SAMPLES),
    target=PASS_AT_K,
    parameters=(
        positive("A", start=(0.1, 5.0), unit="params**alpha"),
        positive("B", start=(0.1, 5.0), unit="tokens**beta"),
        positive("alpha", start=(0.1, 1.0), upper=3.0),
        positive("beta", start=(0.1, 1.0), upper=3.0),
        real("theta0", start=(-1.0, 6.0)),
        positive("theta2", start=(0.3, 0.99), upper=1.0),
        real("theta3", start=(-1.0, 3.0)),
        real("theta4", start=(-1.0, 1.0)),
    ),
    source=f"{_SOURCE}, approach 2, in one stage",
    remark="A, B and theta4 count in units of the paper's theta1, and its E is part of theta0 and "
    "theta3: pass@k alone does not tell these apart.",
)
