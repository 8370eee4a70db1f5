"""Recipe against recipe over the (N, D) plane, and how robust a fit's answers are."""

from isoloss.comparing.algorithmic_progress import (
    AlgorithmicProgress,
    algorithmic_progress,
    frontier_flops,
    frontier_gain,
    joint_gain,
    rebalancing_gain,
)
from isoloss.comparing.checklist import (
    GROUPS,
    ChecklistItem,
    data_items,
    fitting_items,
    law_items,
    open_questions,
    reproducibility_checklist,
)
from isoloss.comparing.compare import compare, compare_recipes, split_recipes
from isoloss.comparing.comparison import UNDECIDED, ComparedPoint, Comparison, Pair
from isoloss.comparing.counting import COUNTS, Count, count_params, has_shapes
from isoloss.comparing.decision import Crossing, Plane, crossings, pairs_until_decided, plane
from isoloss.comparing.efficiency import Efficiency, efficiency
from isoloss.comparing.gain import PATHS, Gain, GainCurve, compute_gain, data_gain, gain_curve
from isoloss.comparing.measured import MeasuredGains, Trend, measured_gains
from isoloss.comparing.pair_backtest import PairBacktest, PairFold, pair_backtest
from isoloss.comparing.pair_ensemble import Contrast, PairEnsemble, PairLaw
from isoloss.comparing.pair_fit import PairFit, PairProblem, fit_pair
from isoloss.comparing.pairing import Pairing
from isoloss.comparing.perturbations import (
    KINDS,
    Perturbation,
    Trial,
    blur_params,
    change_law,
    change_method,
    change_objective,
    change_search,
    count_by_column,
    count_by_shape,
    drop_compute,
    drop_sizes,
    raise_params,
    scale_params,
    shift_params,
    standard_perturbations,
)
from isoloss.comparing.perturbed import PerturbedFit
from isoloss.comparing.robustness import Robustness, robustness

__all__ = [
    "COUNTS",
    "GROUPS",
    "KINDS",
    "PATHS",
    "UNDECIDED",
    "AlgorithmicProgress",
    "ChecklistItem",
    "ComparedPoint",
    "Comparison",
    "Contrast",
    "Count",
    "Crossing",
    "Efficiency",
    "Gain",
    "GainCurve",
    "MeasuredGains",
    "Pair",
    "PairBacktest",
    "PairEnsemble",
    "PairFit",
    "PairFold",
    "PairLaw",
    "PairProblem",
    "Pairing",
    "Perturbation",
    "PerturbedFit",
    "Plane",
    "Robustness",
    "Trend",
    "Trial",
    "algorithmic_progress",
    "blur_params",
    "change_law",
    "change_method",
    "change_objective",
    "change_search",
    "compare",
    "compare_recipes",
    "compute_gain",
    "count_by_column",
    "count_by_shape",
    "count_params",
    "crossings",
    "data_gain",
    "data_items",
    "drop_compute",
    "drop_sizes",
    "efficiency",
    "fit_pair",
    "fitting_items",
    "frontier_flops",
    "frontier_gain",
    "gain_curve",
    "has_shapes",
    "joint_gain",
    "law_items",
    "measured_gains",
    "open_questions",
    "pair_backtest",
    "pairs_until_decided",
    "plane",
    "raise_params",
    "rebalancing_gain",
    "reproducibility_checklist",
    "robustness",
    "scale_params",
    "shift_params",
    "split_recipes",
    "standard_perturbations",
]
