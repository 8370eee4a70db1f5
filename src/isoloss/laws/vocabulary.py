"""Vocabulary: how many tokens a model's vocabulary should have.

Losses per token cannot be compared between vocabularies. The loss here is relative to that of a
unigram model with the same vocabulary, and negative.
"""

from __future__ import annotations

from isoloss.laws.law import TOKENS, Input, Law, Target, positive, real

NON_VOCABULARY_PARAMS = Input(
    "non_vocabulary_params", r"N_\mathrm{nv}", "parameters outside the vocabulary", improves=True
)
VOCABULARY_PARAMS = Input(
    "vocabulary_params", r"N_\mathrm{v}", "embedding parameters, vocabulary times width"
)
VOCABULARY_SIZE = Input("vocabulary_size", "V", "tokens in the vocabulary", usual=(1e3, 1e6))
CHARACTERS = Input("characters", "H", "training characters", improves=True)
UNIGRAM_NORMALIZED_LOSS = Target(
    "unigram_normalized_loss", r"L_\mathrm{u}", "nats/token less than a unigram model", False
)

_SOURCE = "Tao et al. 2024, arXiv:2407.13623"
_EXPONENTS = tuple(
    positive(name, start=(0.05, 1.0), upper=3.0) for name in ("alpha1", "alpha2", "beta")
)
_COEFFICIENTS = (
    real("E", start=(0.5, 2.0)),
    *(positive(name) for name in ("A1", "A2", "B")),
)

VOCABULARY = Law(
    name="vocabulary",
    title="Vocabulary: -E + A1/N_nv^alpha1 + A2/N_v^alpha2 + B/D^beta",
    formula=(
        "-E + A1/non_vocabulary_params**alpha1 + A2/vocabulary_params**alpha2 + B/tokens**beta"
    ),
    inputs=(NON_VOCABULARY_PARAMS, VOCABULARY_PARAMS, TOKENS),
    target=UNIGRAM_NORMALIZED_LOSS,
    parameters=(*_COEFFICIENTS, *_EXPONENTS),
    linear=("E", "A1", "A2", "B"),
    source=f"{_SOURCE}, approach 3",
    remark="Fit it with the objective squared. A larger vocabulary never harms at given tokens; it "
    "takes compute.",
)

_SIZE_TERMS = "-E + A1/non_vocabulary_params**alpha1 + A2/vocabulary_size**alpha2"

VOCABULARY_OF_TEXT = Law(
    name="vocabulary-of-text",
    title="Vocabulary, over characters of text: -E + A1/N_nv^alpha1 + A2/V^alpha2 + B/H^beta",
    formula=f"{_SIZE_TERMS} + B/characters**beta",
    inputs=(NON_VOCABULARY_PARAMS, VOCABULARY_SIZE, CHARACTERS),
    target=UNIGRAM_NORMALIZED_LOSS,
    parameters=(*_COEFFICIENTS, *_EXPONENTS),
    linear=("E", "A1", "A2", "B"),
    source=f"{_SOURCE}, for tables without the width, over characters",
    remark="Fit it with the objective squared. Characters do not depend on the vocabulary.",
)

VOCABULARY_DILUTING = Law(
    name="vocabulary-diluting",
    title="Vocabulary that dilutes data: -E + A1/N_nv^alpha1 + A2/V^alpha2 + B V^kappa/H^beta",
    formula=f"{_SIZE_TERMS} + B*vocabulary_size**kappa/characters**beta",
    inputs=(NON_VOCABULARY_PARAMS, VOCABULARY_SIZE, CHARACTERS),
    target=UNIGRAM_NORMALIZED_LOSS,
    parameters=(*_COEFFICIENTS, *_EXPONENTS, real("kappa", start=(-0.1, 0.5))),
    linear=("E", "A1", "A2", "B"),
    source=f"{_SOURCE}, with a term in V and H together",
    remark="Fit it with the objective squared. More tokens are seen less often each: the best "
    "vocabulary grows with the text as V^(alpha2 + kappa) ~ H^beta.",
)
