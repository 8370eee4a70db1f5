"""What to train under budgets and limits: sizes, tokens and their price."""

from isoloss.planning.accelerators import ACCELERATORS, Accelerator, find_accelerator
from isoloss.planning.allocation import allocate, deviate, optimal_path
from isoloss.planning.costs import (
    Cost,
    inference_flops,
    inference_money,
    price_per_flop,
    training_flops,
    training_money,
    wall_clock,
)
from isoloss.planning.counts import ParameterCounts
from isoloss.planning.demand import Demand, demand, total_flops
from isoloss.planning.frontier import Frontier, FrontierPoint, frontier
from isoloss.planning.inverse import Overtraining, cheapest, overtraining
from isoloss.planning.limits import Limits, SizeLimit, Spend
from isoloss.planning.memory import decoding_seconds, serving_bytes, training_state_bytes
from isoloss.planning.optimum import Optimum, near_optimal_band, optimum, replicate_optimum
from isoloss.planning.result import Allocation, Amount, Deviation
from isoloss.planning.scores import loss_for_score
from isoloss.planning.serving import BuiltRun, Serving, ShapeLimit, nearest_built
from isoloss.planning.shape import BestInputs, best_inputs, rank_shapes
from isoloss.planning.solution import DEVIATIONS
from isoloss.planning.throughput import Throughput, fit_throughput

__all__ = [
    "ACCELERATORS",
    "DEVIATIONS",
    "Accelerator",
    "Allocation",
    "Amount",
    "BestInputs",
    "BuiltRun",
    "Cost",
    "Demand",
    "Deviation",
    "Frontier",
    "FrontierPoint",
    "Limits",
    "Optimum",
    "Overtraining",
    "ParameterCounts",
    "Serving",
    "ShapeLimit",
    "SizeLimit",
    "Spend",
    "Throughput",
    "allocate",
    "best_inputs",
    "cheapest",
    "decoding_seconds",
    "demand",
    "deviate",
    "find_accelerator",
    "fit_throughput",
    "frontier",
    "inference_flops",
    "inference_money",
    "loss_for_score",
    "near_optimal_band",
    "nearest_built",
    "optimal_path",
    "optimum",
    "overtraining",
    "price_per_flop",
    "rank_shapes",
    "replicate_optimum",
    "serving_bytes",
    "total_flops",
    "training_flops",
    "training_money",
    "training_state_bytes",
    "wall_clock",
]
