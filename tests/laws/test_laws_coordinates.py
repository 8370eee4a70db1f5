"""Working coordinates describe the published formula exactly, whatever the centre and units."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
from hypothesis import assume, given
from hypothesis import strategies as st
from laws_strategies import LAWS, Point, points

from isoloss.errors import InputError
from isoloss.laws import (
    CATALOGUE,
    Centre,
    Coordinates,
    Law,
    Parameter,
    Surface,
    positive,
    real,
    working_law,
)

FARSEER = CATALOGUE["farseer"]
# What remains of losses, or of shares, that come out near 0.
ROUNDING = 1e-10
LARGEST = 1e100


def published_prediction(point: Point) -> np.ndarray:
    law = point.law
    parameters = dict(zip(law.parameter_names, point.published.tolist(), strict=True))
    names = [entry.name for entry in law.inputs]
    return law.predict(parameters, **dict(zip(names, point.inputs, strict=True)))


def drawn(data: st.DataObject, name: str) -> Point:
    """A point whose published parameters are numbers with digits to spare."""
    point = data.draw(points(LAWS[name], away_from_zero=True))
    with np.errstate(divide="ignore"):
        digits = np.abs(np.log10(np.abs(point.published)))
    assume(np.all(digits < 100))
    return point


@pytest.mark.parametrize("name", LAWS)
class TestWorkingCoordinates:
    @given(data=st.data())
    def test_predict_what_the_published_formula_predicts(
        self, name: str, data: st.DataObject
    ) -> None:
        point = drawn(data, name)
        own = point.in_coordinates.predict(point.working, point.inputs, point.centre)
        expected = published_prediction(point)
        # Near the end of floating point the two overflow at different places.
        sane = ~(np.abs(expected) > LARGEST)
        np.testing.assert_allclose(own[sane], expected[sane], rtol=1e-9, atol=ROUNDING)
        assert np.all(np.abs(own[~sane]) > LARGEST / 1e10)

    @given(data=st.data())
    def test_to_published_and_back_is_the_identity(self, name: str, data: st.DataObject) -> None:
        point = drawn(data, name)
        back = point.in_coordinates.to_working(point.published, point.centre)
        np.testing.assert_allclose(back, point.working, rtol=1e-8, atol=1e-9)

    @given(data=st.data())
    def test_another_centre_gives_the_same_surface(self, name: str, data: st.DataObject) -> None:
        point = drawn(data, name)
        other = Centre(tuple(3.0 * middle for middle in point.centre.inputs), 0.5)
        law = point.in_coordinates
        moved = law.to_working(point.published, other)
        np.testing.assert_allclose(
            law.predict(moved, point.inputs, other),
            law.predict(point.working, point.inputs, point.centre),
            rtol=1e-8,
            atol=ROUNDING,
        )

    @given(data=st.data())
    def test_a_batch_of_problems_maps_column_by_column(
        self, name: str, data: st.DataObject
    ) -> None:
        point = drawn(data, name)
        law = point.in_coordinates
        both = np.column_stack([point.working, 1.01 * point.working])
        published = law.to_published(both, point.centre)
        np.testing.assert_allclose(published[:, 0], point.published, rtol=1e-12)
        columns = [column[:, None] for column in point.inputs]
        table = law.predict(both, columns, point.centre)
        assert table.shape == (point.inputs[0].size, 2)
        own = law.predict(point.working, point.inputs, point.centre)
        np.testing.assert_allclose(table[:, 0], own, rtol=1e-12)

    def test_the_centre_of_a_table_is_made_of_geometric_means(self, name: str) -> None:
        law = LAWS[name]
        columns = [np.array([1e8, 1e10] if each.positive else [0.0, 0.5]) for each in law.inputs]
        centre = Centre.of(columns, np.array([2.0, 8.0]))
        expected = [1e9 if each.positive else 1.0 for each in law.inputs]
        assert centre.inputs == pytest.approx(expected, rel=1e-14)
        assert centre.loss == pytest.approx(4.0, rel=1e-14)
        middles = [middle for middle in centre.inputs if middle != 1.0]
        assert working_law(law).constants(centre) == (*middles, centre.loss)


class TestFarseerNearExponentZero:
    """There the published a and b grow without bound, while the curve becomes a power law."""

    CENTRE = Centre((1e9, 2e10), 0.5)
    WORKING = np.array([-0.3, -0.1, 0.0, -1.5, -0.2, 0.0, 0.3, -0.1, 0.0])
    N, D = np.geomspace(1e7, 1e12, 30), np.geomspace(1e9, 1e13, 30)

    def curve(self, exponent: float) -> np.ndarray:
        working = self.WORKING.copy()
        working[[2, 5, 8]] = exponent
        return working_law(FARSEER).predict(working, [self.N, self.D], self.CENTRE)

    def test_is_smooth_through_zero(self) -> None:
        below, at, above = (self.curve(exponent) for exponent in (-1e-7, 0.0, 1e-7))
        np.testing.assert_allclose(0.5 * (below + above), at, rtol=1e-11)
        np.testing.assert_allclose(above, at, rtol=1e-5)

    def test_at_zero_the_floor_is_a_power_law_of_n(self) -> None:
        alone = self.WORKING.copy()
        alone[3] = -200.0  # no data term
        floor = working_law(FARSEER).predict(alone, [self.N, self.D], self.CENTRE)
        np.testing.assert_allclose(floor, 0.5 * np.exp(-0.3) * (self.N / 1e9) ** -0.1, rtol=1e-12)


class TestUnits:
    @staticmethod
    def law(*parameters: Parameter, formula: str = "E + A/params") -> Law:
        return Law("own", "own", formula, parameters, "here", linear=("E", "A"))

    def test_of_a_linear_parameter_is_what_makes_its_term_the_typical_loss(self) -> None:
        law = CATALOGUE["chinchilla"]
        centre = Centre((2e9, 3e10), 2.5)
        working = np.array([0.5, 0.3, 0.2, 0.34, 0.28])
        E, A, B, alpha, beta = working_law(law).to_published(working, centre)
        assert (alpha, beta) == (0.34, 0.28)
        terms = [E, A / 2e9**alpha, B / 3e10**beta]
        assert terms == pytest.approx([0.5 * 2.5, 0.3 * 2.5, 0.2 * 2.5], rel=1e-14)

    def test_is_positive_even_where_the_term_is_subtracted(self) -> None:
        law = self.law(positive("E"), positive("A"), formula="E - A*params**0.1*tokens**0.1")
        assert np.all(working_law(law).to_published(np.ones(2), Centre((2.0, 3.0), 4.0)) > 0)

    def test_is_one_where_the_sign_of_the_term_is_open(self) -> None:
        law = self.law(positive("E"), positive("A"), formula="E + A*log(params/tokens)")
        published = working_law(law).to_published(np.ones(2), Centre((2.0, 3.0), 4.0))
        np.testing.assert_allclose(published, [4.0, 1.0])

    def test_bounds_other_than_zero_stay_those_of_the_published_parameter(self) -> None:
        law = self.law(real("E", start=(0.5, 1.0), lower=0.5, upper=1.2), positive("A"))
        own = working_law(law)
        assert (own.parameters[0].lower, own.parameters[0].upper) == (0.5, 1.2)
        assert own.to_published(np.array([1.2, 1.0]), Centre((2.0, 3.0), 4.0))[0] == 1.2

    def test_declared_may_depend_on_parameters_without_one(self) -> None:
        law = self.law(
            positive("E"),
            positive("A", unit="loss*params**alpha"),
            positive("alpha"),
            formula="E + A/params**alpha",
        )
        published = working_law(law).to_published(
            np.array([1.0, 1.0, 0.5]), Centre((9.0,) * 2, 2.0)
        )
        np.testing.assert_allclose(published, [2.0, 6.0, 0.5])

    @pytest.mark.parametrize(
        ("unit", "message"),
        [
            ("gamma", "unit of A in law own: unknown name: found gamma; expected one of A, E, los"),
            ("0", "unit of A in law own: not a positive unit: found 0$"),
            ("-loss", "unit of A in law own: not a positive unit: found -loss$"),
            ("params - tokens", "unit of A in law own: not a positive unit: found params - tokens"),
            ("E", "law own: the unit of A depends on parameters that have units themselves: fo"),
        ],
    )
    def test_that_is_none_is_refused(self, unit: str, message: str) -> None:
        with pytest.raises(InputError, match="^" + message):
            working_law(self.law(positive("E"), positive("A", unit=unit)))

    def test_beside_a_bound_that_it_would_scale_is_refused(self) -> None:
        law = self.law(positive("E"), positive("A", upper=5.0, unit="loss*params"))
        with pytest.raises(
            InputError,
            match="bounds of a parameter with a unit: found lower 0, upper 5; expected 0 or none",
        ):
            working_law(law)


class TestManySums:
    def test_a_product_of_sums_is_not_multiplied_out(self) -> None:
        """Multiplied out this one would have 2**25 terms."""
        factors = "*".join(f"(params**0.01 + E*tokens**{k / 100})" for k in range(1, 26))
        law = Law("product", "product", factors, (positive("E"),), "here")
        own = working_law(law)
        assert sympy.count_ops(own.evaluator.expression) < 1000
        centre, inputs = Centre((2.0, 3.0), 1.0), [np.array([4.0]), np.array([5.0])]
        predicted = own.predict(np.array([0.7]), inputs, centre)
        np.testing.assert_allclose(predicted, law.predict({"E": 0.7}, params=4.0, tokens=5.0))


class TestDeclaredCoordinates:
    def test_a_mistake_in_them_names_the_law(self) -> None:
        law = Law(
            "own",
            "own",
            "E/params",
            (positive("E"),),
            "here",
            coordinates=Coordinates((positive("level"),), "levl", {"E": "level"}, {"level": "E"}),
        )
        with pytest.raises(InputError, match=r"^coordinates of law own: unknown name: found levl"):
            working_law(law)


class TestSurface:
    def test_has_the_parameters_it_was_given(self) -> None:
        for law in CATALOGUE.values():
            for published in law.published:
                surface = Surface.published(law, published.name)
                assert surface.parameters == pytest.approx(published.parameters, rel=1e-11)

    @given(data=st.data())
    def test_slopes_are_those_of_the_working_law(self, data: st.DataObject) -> None:
        point = data.draw(points(FARSEER))
        surface = Surface(FARSEER, point.centre, point.working)
        N, D = point.inputs
        slopes = surface.slopes(params=N, tokens=D)
        own = point.in_coordinates.slopes(point.working, point.inputs, point.centre)
        np.testing.assert_array_equal(slopes["params"], own[0])
        np.testing.assert_array_equal(slopes["tokens"], own[1])

    def test_inputs_broadcast(self) -> None:
        surface = Surface.published(CATALOGUE["chinchilla"], "epoch-2024")
        grid = surface.predict(params=np.geomspace(1e8, 1e10, 4)[:, None], tokens=[1e10, 1e11])
        assert grid.shape == (4, 2)
        assert grid[1, 1] == pytest.approx(
            float(surface.predict(params=np.geomspace(1e8, 1e10, 4)[1], tokens=1e11)), rel=1e-15
        )

    def test_replicates_give_one_column_each(self) -> None:
        law = CATALOGUE["chinchilla"]
        one = Surface.published(law, "epoch-2024")
        replicates = np.column_stack([one.working, 1.01 * one.working, 0.99 * one.working])
        surface = Surface(law, one.centre, one.working, replicates)
        N, D = np.array([1e9, 1e10]), np.array([2e10, 2e11])
        table = surface.predict_replicates(params=N, tokens=D)
        assert table.shape == (2, 3)
        np.testing.assert_allclose(table[:, 0], surface.predict(params=N, tokens=D), rtol=1e-14)
        parameters = surface.parameter_replicates()
        assert parameters["alpha"] == pytest.approx(0.3478 * np.array([1, 1.01, 0.99]), rel=1e-12)

    def test_without_replicates_the_table_is_empty(self) -> None:
        surface = Surface.published(CATALOGUE["chinchilla"], "epoch-2024")
        assert surface.predict_replicates(params=[1e9, 2e9], tokens=1e10).shape == (2, 0)
        assert all(values.size == 0 for values in surface.parameter_replicates().values())

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                {"E": -1.0},
                "outside the law's domain: found E=-1, A=482.01, B=2085.43, alpha=0.3478",
            ),
            ({"alpha": 4.0}, "outside the law's domain: found E=1.8172, A=482.01"),
            ({"A": float("nan")}, "outside the law's domain: found E=1.8172, A=nan"),
            ({"gamma": 1.0}, "wrong parameters: found A, B, E, alpha, beta, gamma; expected E, A,"),
        ],
    )
    @pytest.mark.parametrize("centre", [None, Centre((1e9, 1e10), 2.0)])
    def test_of_impossible_parameters_is_refused(
        self, change: dict[str, float], message: str, centre: Centre | None
    ) -> None:
        law = CATALOGUE["chinchilla"]
        parameters = {**law.published_set("epoch-2024").parameters, **change}
        with pytest.raises(InputError, match=message):
            Surface.of_parameters(law, parameters, centre)

    @pytest.mark.parametrize("centre", [None, Centre((1e9, 1e10), 2.0)])
    def test_of_too_few_parameters_is_refused(self, centre: Centre | None) -> None:
        with pytest.raises(InputError, match="law chinchilla: wrong parameters: found E; expected"):
            Surface.of_parameters(CATALOGUE["chinchilla"], {"E": 1.0}, centre)

    def test_wrong_inputs_are_refused(self) -> None:
        surface = Surface.published(CATALOGUE["chinchilla"], "epoch-2024")
        with pytest.raises(
            InputError, match="law chinchilla: wrong inputs: found flops; expected params, tokens"
        ):
            surface.predict(flops=1e20)
