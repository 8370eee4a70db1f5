"""What a table can tell about a law, and what it cannot."""

from __future__ import annotations

import numpy as np
import pytest
from fitting_tables import grid, simulated, table

from isoloss.errors import FitError
from isoloss.fitting import FittedRows, find_objective, fit
from isoloss.fitting.identifiability import identifiability, require_carrying
from isoloss.fitting.problem import Problem
from isoloss.fitting.starts import random_starts
from isoloss.laws import CATALOGUE, law_from_definition
from isoloss.runs import Runs


def posed(law: str, runs: Runs) -> Problem:
    rows = FittedRows((runs.params, runs.tokens), runs.loss, np.ones(len(runs)))
    return Problem.of(CATALOGUE[law], rows, find_objective("squared-log"))


class TestCondition:
    def test_is_that_of_the_scaled_information_matrix(self) -> None:
        """Textbook formulas, with the Jacobian by differences."""
        runs = simulated("chinchilla", noise=3e-3)
        own = fit(runs, "chinchilla", objective="squared-log")
        problem = posed("chinchilla", runs)
        working = own.surface.working
        columns = []
        for index in range(5):
            step = 1e-6 * np.eye(5)[index]
            above, below = (
                np.log(problem.predict((working + sign * step)[:, None])[:, 0]) for sign in (1, -1)
            )
            columns.append((above - below) / 2e-6)
        jacobian = np.stack(columns, axis=1)
        scaled = jacobian / np.linalg.norm(jacobian, axis=0)
        expected = np.linalg.cond(scaled) ** 2
        assert own.identifiability.condition == pytest.approx(expected, rel=1e-5)
        assert own.identifiability.weak == ()
        assert own.identifiability.at_bound == ()

    def test_a_direction_without_information_is_named(self) -> None:
        """Two terms that are the same within 1e-6 over the whole table."""
        law = law_from_definition(
            {
                "name": "twins",
                "formula": "E + A/params**0.3 + B/params**0.300001 + C/tokens**0.3",
                "linear": ["E", "A", "B", "C"],
                "parameters": {name: {} for name in "EABC"},
            }
        )
        own = fit(simulated("chinchilla", noise=1e-3), law)
        assert own.identifiability.condition > 1e8
        assert set(own.identifiability.weak) == {"A", "B"}
        (note,) = [note for note in own.all_notes() if note.code == "weakly-identified"]
        assert note.message == (
            "the data hardly tell apart A, B: trust predictions, not these coefficients"
        )
        assert note.details == {"condition": own.identifiability.condition}

    def test_a_parameter_on_its_bound_is_named(self) -> None:
        N, D = grid(6, 6)
        loss = 400 / N**0.3 + 900 / D**0.3 - 0.15
        own = fit(table(N, D, loss), "chinchilla", objective="squared-log")
        assert own.identifiability.at_bound == ("E",)
        (note,) = [note for note in own.all_notes() if note.code == "at-bound"]
        assert note.message.startswith("the data push E to the edge of what is allowed: a law with")

    def test_where_the_law_has_no_derivative_it_is_infinite_at_most(self) -> None:
        """Kaplan's data**(1/alpha_D) at data = 0."""
        problem = posed("kaplan", simulated("kaplan"))
        found = identifiability(problem, np.ones(64), np.array([0.8, 0.0, 0.076, 0.1]))
        assert np.isfinite(found.condition)
        assert "data" in found.at_bound


class TestCarrying:
    def test_runs_of_weight_zero_do_not_count(self) -> None:
        problem = posed("chinchilla", simulated("chinchilla"))
        weights = np.r_[np.ones(5), np.zeros(59)]
        with pytest.raises(
            FitError,
            match=r"^law chinchilla has 5 parameters and needs at least 6 runs; the table has 5$",
        ):
            require_carrying(problem, weights, random_starts(problem, 4, 0))

    def test_a_law_without_a_value_where_it_starts_is_refused(self) -> None:
        law = law_from_definition(
            {
                "name": "hopeless",
                "formula": "log(a - params)/tokens",
                "parameters": {"a": {"start": [-2, -1]}},
            }
        )
        with pytest.raises(
            FitError, match=r"^law hopeless has no value anywhere in its range of starts$"
        ):
            fit(simulated("chinchilla"), law)

    @pytest.mark.parametrize("law", CATALOGUE)
    def test_a_grid_carries_every_law(self, law: str) -> None:
        problem = posed(law, simulated(law))
        require_carrying(problem, np.ones(64), random_starts(problem, 8, 0))
