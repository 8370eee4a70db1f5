"""Farseer's own staged fit: the authors' numbers, and the tables that cannot carry it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fitting_tables import TRUTHS, simulated, table

from isoloss.arrays import Array
from isoloss.errors import FitError, InputError
from isoloss.fitting import Fit, Status, fit
from isoloss.laws import CATALOGUE
from isoloss.laws.farseer_stages import staged_farseer
from isoloss.runs import Runs, read_runs

# Reference section 2: coefficients of the authors' notebook and of an independent
# re-implementation, which agree to five digits and more.
NOTEBOOK = TRUTHS["farseer"]
RELATIVE_DIGITS = 5e-6


def ladder(sizes: int = 6, steps: int = 8, ratio: float = np.sqrt(2)) -> tuple[Array, Array]:
    N, D = np.meshgrid(2e8 * 1.5 ** np.arange(sizes), 2e9 * ratio ** np.arange(steps))
    return N.ravel(), D.ravel()


def farseer_loss(N: Array, D: Array) -> Array:
    return CATALOGUE["farseer"].predict(NOTEBOOK, params=N, tokens=D)


@pytest.fixture(scope="module")
def fitted_sizes(shared_data: Path) -> Runs:
    """The 20 sizes of the paper's fit, 0.2B to 5.4B, without the duplicated rows."""
    return read_runs(shared_data / "farseer_grid.csv", where="params > 2e8 and params < 6e9")


@pytest.fixture(scope="module")
def staged(fitted_sizes: Runs) -> Fit:
    return fit(fitted_sizes, "farseer", method="staged")


class TestPaper:
    def test_all_nine_coefficients_of_the_authors_notebook(self, staged: Fit) -> None:
        assert staged.n_runs == 326
        assert staged.parameters == pytest.approx(NOTEBOOK, rel=RELATIVE_DIGITS)

    def test_error_on_the_fitted_runs(self, staged: Fit) -> None:
        """Reference section 3.3: 0.179 % in range."""
        assert staged.mean_abs_rel_error == pytest.approx(0.00179, abs=5e-6)

    def test_half_a_per_cent_on_the_six_extrapolation_points(
        self, staged: Fit, shared_data: Path
    ) -> None:
        six = read_runs(shared_data / "farseer_extrapolation.csv", where="in_paper_six")
        predicted = staged.surface.predict(params=six.params, tokens=six.tokens)
        assert np.mean(np.abs(predicted / six.loss - 1)) == pytest.approx(0.00501, abs=5e-6)

    # Reference section 5: the paper's metric is the mean over 6.4B runs with D > 6e9, one of
    # which the table has twice.
    @pytest.mark.parametrize(
        ("largest", "error"), [(6e9, 5.873e-4), (2e9, 6.013e-3)], ids=["5.4B", "1.9B"]
    )
    def test_held_out_6b(
        self, shared_data: Path, fitted_sizes: Runs, largest: float, error: float
    ) -> None:
        largest_size = read_runs(
            shared_data / "farseer_grid.csv", where="params > 6e9 and tokens > 6e9", check=False
        )
        assert len(largest_size) == 8
        own = fit(fitted_sizes.where(f"params < {largest}"), "farseer", method="staged")
        predicted = own.surface.predict(params=largest_size.params, tokens=largest_size.tokens)
        assert np.mean(np.abs(predicted / largest_size.loss - 1)) == pytest.approx(error, rel=2e-4)

    def test_is_not_an_optimum_of_anything_but_counts_as_done(self, staged: Fit) -> None:
        assert staged.status is Status.CONVERGED
        assert staged.method == "staged"
        assert (staged.search.starts, staged.search.reached_best) == (1, 1)

    def test_has_no_replicates_and_says_so(self, fitted_sizes: Runs) -> None:
        own = fit(fitted_sizes, "farseer", method="staged", bootstrap=10)
        assert own.n_bootstrap == 0
        assert own.surface.replicates.size == 0
        (note,) = [note for note in own.notes if note.code == "staged-without-bootstrap"]
        assert "no bootstrap replicates; use --method joint for them" in note.message


class TestKnownTruth:
    def test_the_surface_of_a_table_without_noise_comes_back(self) -> None:
        N, D = ladder()
        own = staged_farseer((N, D), farseer_loss(N, D))
        far = np.array([1e8, 1e9, 2e10]), np.array([1e12, 1e9, 1e11])
        predicted = CATALOGUE["farseer"].predict(own, params=far[0], tokens=far[1])
        np.testing.assert_allclose(predicted, farseer_loss(*far), rtol=1e-4)
        # Exponents come from grids of steps 1e-4 and 1e-3.
        assert own["alpha"] == pytest.approx(NOTEBOOK["alpha"], abs=1.1e-4)
        assert own["beta"] == pytest.approx(NOTEBOOK["beta"], abs=1.1e-4)
        assert own["gamma"] == pytest.approx(NOTEBOOK["gamma"], abs=1.1e-3)

    def test_the_order_of_rows_does_not_matter(self) -> None:
        N, D = ladder()
        loss = farseer_loss(N, D) * np.exp(1e-4 * np.random.default_rng(0).standard_normal(N.size))
        shuffled = np.random.default_rng(1).permutation(N.size)
        one = staged_farseer((N, D), loss)
        other = staged_farseer((N[shuffled], D[shuffled]), loss[shuffled])
        assert one == pytest.approx(other, rel=1e-9)


class TestRefused:
    MESSAGE = (
        r"^the staged method needs at least 4 sizes with 5 or more neighbouring runs whose tokens "
        r"grow by sqrt\(2\) and whose loss falls; this table has {} such sizes of {}: use --method "
        r"joint$"
    )

    @pytest.mark.parametrize("ratio", [1.2, 2.0])
    def test_a_ladder_of_another_ratio(self, ratio: float) -> None:
        N, D = ladder(ratio=ratio)
        with pytest.raises(FitError, match=self.MESSAGE.format(0, 6)):
            staged_farseer((N, D), farseer_loss(N, D))

    def test_too_few_sizes(self) -> None:
        N, D = ladder(sizes=3)
        with pytest.raises(FitError, match=self.MESSAGE.format(3, 3)):
            staged_farseer((N, D), farseer_loss(N, D))

    def test_too_few_steps(self) -> None:
        N, D = ladder(steps=5)
        with pytest.raises(FitError, match=self.MESSAGE.format(0, 6)):
            staged_farseer((N, D), farseer_loss(N, D))

    def test_losses_that_rise(self) -> None:
        N, D = ladder()
        with pytest.raises(FitError, match=self.MESSAGE.format(0, 6)):
            staged_farseer((N, D), (D / 1e9) ** 0.1)

    def test_drops_in_loss_that_grow_with_n_alone(self) -> None:
        """The coefficient of the data term must fall with N in Farseer's stages."""
        N, D = ladder()
        with pytest.raises(
            FitError, match=r"^the staged method found no exponent that fits the differences in los"
        ):
            staged_farseer((N, D), 1e3 + N * D**-0.3)

    def test_a_data_term_larger_than_the_loss(self) -> None:
        N, D = ladder()
        data_term = 300 * (2e8 / N) ** 0.3 * D**-0.3
        loss = data_term - 0.9 * data_term.min()
        with pytest.raises(
            FitError, match=r"^the staged method's data term exceeds the loss itself at some runs: "
        ):
            staged_farseer((N, D), loss)

    def test_a_law_without_such_a_method(self) -> None:
        with pytest.raises(
            InputError,
            match=r"^--method: law chinchilla has no staged method: found staged; expected joi",
        ):
            fit(simulated("chinchilla"), "chinchilla", method="staged")

    def test_the_joint_fit_goes_on_without_it_and_says_so(self) -> None:
        N, D = ladder(ratio=2.0)
        runs = table(N, D, farseer_loss(N, D))
        own = fit(runs, "farseer", starts=16)
        assert own.converged
        assert own.search.starts == 16
        (note,) = [note for note in own.notes if note.code == "staged-method-not-usable"]
        assert note.message.startswith("the staged method needs at least 4 sizes")

    def test_the_joint_fit_starts_from_it_where_it_can(self) -> None:
        N, D = ladder()
        own = fit(table(N, D, farseer_loss(N, D)), "farseer", starts=16)
        assert own.search.starts == 17
        assert not [note for note in own.notes if note.code == "staged-method-not-usable"]
