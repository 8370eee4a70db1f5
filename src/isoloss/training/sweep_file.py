"""The TOML file of a sweep: which tables and keys there are, and what their values may be."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

from isoloss.architecture import FLOPS_CONVENTIONS, LLAMA_FIELDS, ShapeRule, TransformerShape
from isoloss.errors import InputError
from isoloss.quantities import parse_point, parse_quantity
from isoloss.runs.naming import one_of
from isoloss.training.ladder import Ladder
from isoloss.training.preparing import Preparation
from isoloss.training.results import ResultRule
from isoloss.training.sweep import (
    DEFAULT_CONVENTION,
    Budget,
    Recipe,
    Replicates,
    ScheduleName,
    Speed,
    Sweep,
    Trainer,
)

_TOP = (
    "family",
    "shapes",
    "params",
    "tokens",
    "training",
    "settings",
    "recipes",
    "seeds",
    "replicates",
    "held_out",
    "where",
    "flops",
    "budget",
    "throughput",
    "trainer",
    "prepare",
)
_LADDER_KEYS = ("from", "to", "steps", "ratio", "values")
_RECIPE_KEYS = tuple(each.name for each in fields(Recipe) if each.name not in ("name", "settings"))


def read_sweep(path: str | Path) -> Sweep:
    """Read the TOML file of a sweep.

    Raises:
        InputError: it cannot be read, is no TOML, or a key is unknown or has no usable value.
    """
    source = Path(path)
    try:
        document = tomllib.loads(source.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "text that is not UTF-8"
        raise InputError("cannot read the sweep", where=str(path), found=reason) from None
    except tomllib.TOMLDecodeError as error:
        raise InputError("not a TOML file", where=str(path), found=str(error)) from None
    return _Reader(source).sweep(document)


class _Reader:
    """Reads the tables of one file; every complaint names it, the table and the key."""

    def __init__(self, source: Path) -> None:
        self.source = source

    def sweep(self, document: Mapping[str, Any]) -> Sweep:
        self.check_keys(document, _TOP, "")
        listed = self.tables(document, "shapes")
        if listed and "params" in document:
            raise self.refusal("sizes in two ways", "params", "[params] and [[shapes]]", "one")
        if not listed and "params" not in document:
            raise self.refusal("no sizes", "params", "", "[params] with from, to and steps")
        tokens, per_param = self.tokens(document)
        family = self.family(self.table(document, "family"), has_shapes=bool(listed))
        convention = self.text(document, "flops", "", DEFAULT_CONVENTION)
        if convention not in FLOPS_CONVENTIONS:
            expected = one_of(list(FLOPS_CONVENTIONS), convention)
            raise self.refusal("unknown FLOP convention", "flops", repr(convention), expected)
        return Sweep(
            source=self.source,
            family=family,
            shapes=tuple(self.shape(table, family) for table in listed),
            params=None if listed else self.ladder(self.table(document, "params"), "params"),
            tokens=tokens,
            tokens_per_param=per_param,
            recipes=self.recipes(document),
            seeds=self.seeds(document, "seeds", "", (0,)),
            replicates=self.replicates(document),
            held_out=self.points(document),
            where=self.text(document, "where", "", None),
            budget=Budget(**self.quantities(document, "budget", Budget)),
            speed=self.speed(self.table(document, "throughput")),
            trainer=self.trainer(self.table(document, "trainer")),
            preparation=self.preparation(document),
            convention=convention,
        )

    def family(self, table: Mapping[str, Any], *, has_shapes: bool) -> ShapeRule:
        self.check_keys(table, [each.name for each in fields(ShapeRule)], "family")
        usual: dict[str, Any] = {"counted": "nonembedding"} | dict(table)
        try:
            return ShapeRule(**usual)
        except InputError as error:
            raise self.located(error, "family") from None

    def shape(self, table: Mapping[str, Any], family: ShapeRule) -> TransformerShape:
        self.check_keys(table, LLAMA_FIELDS, "shapes")
        missing = [name for name in ("n_layers", "d_model", "d_ff", "n_heads") if name not in table]
        if missing:
            raise self.refusal("a shape is not whole", "shapes", f"no {missing[0]}", "one")
        usual = {
            "vocabulary_size": family.vocabulary_size,
            "tied_embeddings": family.tied_embeddings,
        }
        try:
            return TransformerShape(**(usual | dict(table)))
        except InputError as error:
            raise self.located(error, "shapes") from None

    def tokens(self, document: Mapping[str, Any]) -> tuple[Ladder | None, tuple[float, ...]]:
        table = self.table(document, "tokens")
        if "per_param" not in table:
            return self.ladder(table, "tokens"), ()
        self.check_keys(table, ("per_param",), "tokens")
        ratios = table["per_param"]
        if not isinstance(ratios, list) or not ratios:
            raise self.refusal("no ratios", "tokens.per_param", repr(ratios), "as [10, 20, 40]")
        return None, tuple(self.quantity(ratio, "tokens.per_param") for ratio in ratios)

    def ladder(self, table: Mapping[str, Any], name: str) -> Ladder:
        self.check_keys(table, _LADDER_KEYS, name)
        where = f"{self.source}: {name}"
        if "values" in table:
            values = table["values"]
            if len(table) > 1 or not isinstance(values, list) or not values:
                raise self.refusal(
                    "no ladder", name, ", ".join(table), "values alone, as ['1M', '2M'], or a range"
                )
            return Ladder.of([self.quantity(each, f"{name}.values") for each in values], where)
        if not {"from", "to"} <= table.keys() or ("steps" in table) == ("ratio" in table):
            raise self.refusal(
                "no ladder",
                name,
                ", ".join(table) or "nothing",
                "from, to and one of steps and ratio; or values",
            )
        low, high = (self.quantity(table[end], f"{name}.{end}") for end in ("from", "to"))
        if "steps" in table:
            steps = self.whole(table["steps"], f"{name}.steps", 1)
            return Ladder.in_steps(low, high, steps, where)
        return Ladder.by_ratio(low, high, self.quantity(table["ratio"], f"{name}.ratio"), where)

    def recipes(self, document: Mapping[str, Any]) -> tuple[Recipe, ...]:
        common = self.table(document, "training")
        settings = self.table(document, "settings")
        base = self.recipe(Recipe(name="default", settings=settings), common, "training")
        own = self.table(document, "recipes")
        if "recipes" in document and not own:
            raise self.refusal("no recipe", "recipes", "an empty table", "[recipes.NAME]")
        found = []
        for name in own:
            table, where = self.table(own, name, "recipes"), f"recipes.{name}"
            merged = {**settings, **self.table(table, "settings", where)}
            rest = {key: value for key, value in table.items() if key != "settings"}
            found.append(self.recipe(replace(base, name=name, settings=merged), rest, where))
        return tuple(found) or (base,)

    def recipe(self, base: Recipe, table: Mapping[str, Any], where: str) -> Recipe:
        self.check_keys(table, _RECIPE_KEYS, where)
        changes: dict[str, Any] = {}
        for name, value in table.items():
            at = f"{where}.{name}"
            if name in ("batch_tokens", "learning_rate"):
                changes[name] = self.number_or_formula(value, at)
            elif name == "context":
                changes[name] = self.whole(value, at, 1)
            elif name == "schedule":
                known = get_args(ScheduleName)
                if value not in known:
                    raise self.refusal("unknown schedule", at, repr(value), ", ".join(known))
                changes[name] = value
            elif name == "trunks":
                changes[name] = self.choice(value, at)
            else:
                changes[name] = self.share(value, at)
        return replace(base, **changes)

    def replicates(self, document: Mapping[str, Any]) -> Replicates | None:
        if "replicates" not in document:
            return None
        table = self.table(document, "replicates")
        self.check_keys(table, ("seeds", "where"), "replicates")
        if "where" not in table:
            raise self.refusal(
                "no cells for further seeds", "replicates", "no where", 'as where = "params < 1e5"'
            )
        seeds = self.seeds(table, "seeds", "replicates.", ())
        return Replicates(seeds=seeds, where=self.text(table, "where", "replicates.", ""))

    def points(self, document: Mapping[str, Any]) -> tuple[tuple[float, float], ...]:
        texts = document.get("held_out", [])
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise self.refusal("no points", "held_out", repr(texts), "N:D, as ['400k:8M']")
        return tuple(parse_point(text, where=f"{self.source}: held_out") for text in texts)

    def speed(self, table: Mapping[str, Any]) -> Speed:
        self.check_keys(table, [each.name for each in fields(Speed)], "throughput")
        numbers = {
            name: self.quantity(table[name], f"throughput.{name}")
            for name in ("flops_per_second", "price_per_hour")
            if name in table
        }
        if "flops_per_second" in table and "table" in table:
            raise self.refusal(
                "speed in two ways", "throughput", "flops_per_second and table", "one of them"
            )
        path = self.text(table, "table", "throughput.", None)
        terms = table.get("terms", ["1", "params"])
        if not isinstance(terms, list) or not all(isinstance(term, str) for term in terms):
            raise self.refusal("no terms", "throughput.terms", repr(terms), "as ['1', 'params']")
        resolved = None if path is None else self.source.resolve().parent / path
        return Speed(**numbers, table=resolved, terms=tuple(terms))

    def trainer(self, table: Mapping[str, Any]) -> Trainer:
        known = ("command", "result", "loss", "cpus", "gpus", "environment", "slurm")
        self.check_keys(table, known, "trainer")
        usual = Trainer()
        environment = self.table(table, "environment", "trainer")
        return Trainer(
            command=self.text(table, "command", "trainer.", usual.command),
            rule=ResultRule(
                self.text(table, "result", "trainer.", usual.rule.source),
                self.text(table, "loss", "trainer.", usual.rule.loss),
            ),
            cpus=self.whole(table.get("cpus", usual.cpus), "trainer.cpus", 1),
            gpus=self.whole(table.get("gpus", usual.gpus), "trainer.gpus", 0),
            environment={name: str(value) for name, value in environment.items()},
            slurm=self.table(table, "slurm", "trainer"),
        )

    def preparation(self, document: Mapping[str, Any]) -> Preparation | None:
        if "prepare" not in document:
            return None
        table = self.table(document, "prepare")
        self.check_keys(table, ("command", "creates"), "prepare")
        for name in ("command", "creates"):
            if name not in table:
                raise self.refusal("a preparation is not whole", "prepare", f"no {name}", "both")
        found = Preparation(
            command=self.text(table, "command", "prepare.", ""),
            creates=self.text(table, "creates", "prepare.", ""),
        )
        found.check(where=f"{self.source}: prepare.command")
        return found

    def quantities(self, document: Mapping[str, Any], name: str, kind: Any) -> dict[str, float]:
        table = self.table(document, name)
        self.check_keys(table, [each.name for each in fields(kind)], name)
        return {key: self.quantity(value, f"{name}.{key}") for key, value in table.items()}

    def seeds(
        self, document: Mapping[str, Any], name: str, prefix: str, usual: tuple[int, ...]
    ) -> tuple[int, ...]:
        seeds = document.get(name, list(usual))
        where = prefix + name
        if not isinstance(seeds, list) or not seeds:
            raise self.refusal("no seeds", where, repr(seeds), "a list such as [0, 1, 2]")
        found = tuple(self.whole(seed, where, 0) for seed in seeds)
        if len(set(found)) < len(found):
            raise self.refusal("a seed comes twice", where, repr(seeds), "each once")
        return found

    def table(self, document: Mapping[str, Any], name: str, where: str = "") -> Mapping[str, Any]:
        found = document.get(name, {})
        if not isinstance(found, Mapping):
            at = f"{where}.{name}" if where else name
            raise self.refusal("not a table", at, repr(found), f"[{at}]")
        return found

    def tables(self, document: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
        found = document.get(name, [])
        if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
            raise self.refusal("not a list of tables", name, repr(found), f"[[{name}]]")
        return found

    def check_keys(self, table: Mapping[str, Any], known: Sequence[str], where: str) -> None:
        for name in table:
            if name not in known:
                at = f"{where}.{name}" if where else name
                raise self.refusal("unknown key", at, "", one_of(list(known), name))

    def quantity(self, value: Any, where: str) -> float:
        if isinstance(value, str):
            return parse_quantity(value, where=f"{self.source}: {where}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e300:
            raise self.refusal("not a size", where, repr(value), "a positive number or as '70M'")
        return float(value)

    def number_or_formula(self, value: Any, where: str) -> float | str:
        if isinstance(value, str):
            try:
                return parse_quantity(value)
            except InputError:
                return value
        return self.quantity(value, where)

    def whole(self, value: Any, where: str, least: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.refusal("not a count", where, repr(value), f"a whole number from {least}")
        return value

    def share(self, value: Any, where: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise self.refusal("not a share", where, repr(value), "between 0 and 1, as 0.1")
        return float(value)

    def choice(self, value: Any, where: str) -> bool:
        if not isinstance(value, bool):
            raise self.refusal("not a choice", where, repr(value), "true or false")
        return value

    def text(self, table: Mapping[str, Any], name: str, prefix: str, usual: Any) -> Any:
        value = table.get(name, usual)
        if name in table and (not isinstance(value, str) or not value.strip()):
            raise self.refusal("not a text", prefix + name, repr(value), "text in quotes")
        return value

    def located(self, error: InputError, table: str) -> InputError:
        place = error.where.rpartition(".")[2]
        where = f"{self.source}: {table}.{place}" if place else f"{self.source}: {table}"
        return InputError(error.what, where=where, found=error.found, expected=error.expected)

    def refusal(self, what: str, where: str, found: str, expected: str) -> InputError:
        return InputError(what, where=f"{self.source}: {where}", found=found, expected=expected)
