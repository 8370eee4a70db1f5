"""The hardware behind the options of `allocate`: its prices, its hours, its measured speeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isoloss.errors import InputError

if TYPE_CHECKING:
    from isoloss.planning import Accelerator, Cost, ParameterCounts
    from isoloss.planning.costs import OfSize


@dataclass(frozen=True)
class Hardware:
    """What trains and what serves, as the options give it; None where they do not.

    Attributes:
        accelerator: name of what trains.
        inference_accelerator: name of what serves.
        precision: of the arithmetic of training.
        inference_precision: of that of serving.
        accelerators: how many train.
        mfu: share of the peak that training reaches.
        prompt_mfu: the same while prompts are read.
        generation_mfu: the same while answers are written.
        price: of an hour of one accelerator that trains.
        inference_price: of one that serves.
    """

    accelerator: str | None
    inference_accelerator: str | None
    precision: str
    inference_precision: str
    accelerators: float | None
    mfu: float | None
    prompt_mfu: float | None
    generation_mfu: float | None
    price: float | None
    inference_price: float | None

    def clock(self, training: Cost) -> Cost:
        """Hours of training.

        Raises:
            InputError: an option is missing.
        """
        from isoloss.planning import wall_clock

        peak = _accelerator(self.accelerator, "--accelerator").peak(self.precision)
        count = _needed(self.accelerators, "--accelerators", "1024")
        return wall_clock(peak, count, _needed(self.mfu, "--mfu", "0.4"), flops=training)

    def reported(self, training: Cost) -> tuple[Cost, ...]:
        """Hours of training, where the options say enough of the hardware to tell them."""
        known = (self.accelerator, self.accelerators, self.mfu)
        return () if None in known else (self.clock(training),)

    def serves(self) -> Accelerator:
        """What serves, which trains too where nothing else is named.

        Raises:
            InputError: neither is named, or there is no such accelerator.
        """
        name = self.inference_accelerator or self.accelerator
        return _accelerator(name, "--inference-accelerator")

    def money(
        self,
        training: Cost,
        served: float | None,
        read: float | None,
        counts: ParameterCounts | None,
        flops_served: OfSize | None = None,
    ) -> Cost:
        """What training costs, and serving where tokens are to be served.

        Args:
            training: FLOPs of training.
            served: tokens read and written.
            read: those of them that are read.
            counts: the two counts of N, of which serving takes the total.
            flops_served: FLOPs of a token that is served; 2 N where not given.

        Raises:
            InputError: an option is missing, or more tokens are read than served.
        """
        from isoloss.planning import inference_money, price_per_flop, training_money
        from isoloss.planning.costs import INFERENCE_FLOPS_PER_PARAM

        peak = _accelerator(self.accelerator, "--accelerator").peak(self.precision)
        price = price_per_flop(_needed(self.price, "--price", "2.5"), peak)
        cost = training_money(price, _needed(self.mfu, "--mfu", "0.4"), flops=training)
        if served is None:
            return cost
        own = self.serves().peak(self.inference_precision)
        if read is not None and read > served:
            raise InputError(
                "more tokens are read than read and written",
                where="--prompt-tokens",
                found=f"{read:g}",
                expected=f"at most --inference-tokens {served:g}",
            )
        return cost + inference_money(
            price_per_flop(_needed(self.inference_price or self.price, "--price", "2.5"), own),
            prompt_tokens=read or 0.0,
            generated_tokens=served - (read or 0.0),
            prompt_utilisation=self.prompt_mfu or _needed(self.mfu, "--mfu", "0.4"),
            generation_utilisation=_needed(self.generation_mfu, "--generation-mfu", "0.01"),
            flops_per_token=flops_served or INFERENCE_FLOPS_PER_PARAM,
            count=counts.total if counts else None,
        )


def measured_hours(path: str, terms: str) -> Cost:
    """Hours of training by measured speeds.

    Args:
        path: a table with `params` and `tokens_per_second`.
        terms: what the time of a token is a sum of, separated by commas.

    Raises:
        FitError: the rows cannot tell the terms apart.
        InputError: the table or a term cannot be used.
    """
    from isoloss.planning import fit_throughput
    from isoloss.runs import read_runs

    rows = read_runs(path, required={"params": True, "tokens_per_second": True})
    speed = fit_throughput(rows.frame, [each.strip() for each in terms.split(",")])
    others = [name for name in speed.columns if name != "params"]
    if others:
        raise InputError(
            "terms of more than N",
            where="--speed-terms",
            found=", ".join(others),
            expected="terms of params alone; the Python function takes any",
        )
    return speed.hours()


def _accelerator(name: str | None, option: str) -> Accelerator:
    from isoloss.planning import find_accelerator

    if name is None:
        raise InputError("missing", where=option, expected="the name of one, such as h100-sxm")
    return find_accelerator(name)


def _needed(value: float | None, option: str, example: str) -> float:
    if value is None:
        raise InputError("missing", where=option, expected=f"a number, such as {example}")
    return value
