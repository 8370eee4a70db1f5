"""Every table in ../shared/data that has N, D and a loss, and why the others are left out.

A table holds for one recipe, one kind of loss and one selection of rows. All rows with positive
numbers are taken, the ones that sources mark as outliers included.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

import isoloss

FOLDER = Path(__file__).parents[2] / "shared" / "data"
POSITIVE = "params > 0 and tokens > 0 and loss > 0"

_GADRE_LOSSES = (
    "openlm",
    "c4_val",
    "paloma_c4_en",
    "paloma_redpajama",
    "paloma_falcon-refinedweb",
    "paloma_ptb",
    "paloma_dolma_100_programing_languages",
    "val_de-en_100",
)
_FARSEER_LOSSES = (
    "train_loss_smooth",
    "train_loss_last",
    "bpc_raw",
    "bpc_raw_zh",
    "bpc_raw_zh_web_data",
    "bpc_raw_zh_paper",
    "bpc_raw_zh_book",
    "bpc_raw_en_web_data",
    "bpc_raw_en_paper",
    "bpc_raw_en_book",
)
LEFT_OUT = {
    "gadre_downstream.csv": "task errors, no loss",
    "gadre_grid_search.csv": "N is not given",
    "multipowerlaw_curves_25m_100m.csv": "D is not given",
    "multipowerlaw_lr_schedules.csv": "learning rates",
    "scalebench/domain_mixture_test.csv": "proportions of domains instead of N and D",
    "scalebench/domain_mixture_train.csv": "proportions of domains instead of N and D",
    "scalebench/lr_bsz_test.csv": "a single N and D",
    "scalebench/moe_test.csv": "D is not given",
    "scalebench/moe_train.csv": "D is not given",
    "scalebench/parallel_test.csv": "D is not given",
    "scalebench/parallel_train.csv": "D is not given",
    "scalebench/sparsity_test.csv": "two stages with an N and a D each",
    "scalebench/sparsity_train.csv": "two stages with an N and a D each",
    "scalebench/vocab_test.csv": "the loss is negative, relative to a unigram model",
    "scalebench/vocab_train.csv": "the loss is negative, relative to a unigram model",
}


@dataclass(frozen=True)
class PublicTable:
    """One table to fit.

    Attributes:
        file: below the folder of tables.
        label: what tells it from other tables of the file.
        where: an SQL condition on the rows beside positive numbers.
        columns: column of the file for params, tokens or loss, where it has another name.
    """

    file: str
    label: str = ""
    where: str = ""
    columns: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name for people."""
        stem = self.file.removesuffix(".csv")
        return f"{stem}, {self.label}" if self.label else stem

    def read(self, folder: Path) -> isoloss.Runs:
        """The runs of the table."""
        frame = pl.read_csv(folder / self.file, infer_schema_length=None)
        frame = frame.drop(set(self.columns) & set(frame.columns))
        frame = frame.rename({own: name for name, own in self.columns.items()})
        where = f"{POSITIVE} and {self.where}" if self.where else POSITIVE
        return isoloss.read_runs(frame, where=where)


def _by_recipe(file: str, recipes: dict[str, str]) -> Iterator[PublicTable]:
    for recipe, label in recipes.items():
        yield PublicTable(file, label, f"recipe = '{recipe}'")


def public_tables() -> Iterator[PublicTable]:
    """The tables, in the order of the inventory."""
    yield PublicTable("chinchilla_fig4_epoch.csv")
    yield PublicTable("chinchilla_fig4_epoch.csv", "Epoch's 240", "not excluded_by_epoch")
    yield PublicTable("isoflop_epochai_chinchilla.csv")
    yield PublicTable("isoflop_epochai_chinchilla.csv", "no outliers", "not source_outlier")
    yield PublicTable("isoflop_ml_scalefit.csv")
    yield PublicTable("isoflop_ml_scalefit.csv", "no outliers", "not source_outlier")
    yield PublicTable("kyo_takano_llm.csv")
    yield from _by_recipe(
        "isoflop_llama_3.csv", {"llama_3__raw_loss": "raw loss", "llama_3__exp_loss": "exp loss"}
    )
    yield PublicTable("steplaw_dense.csv")
    yield PublicTable("steplaw_dense.csv", "not diverged", "loss < 4")
    yield PublicTable("steplaw_dense_surface.csv")
    last = {"loss": "loss_last_iter"}
    yield PublicTable("steplaw_dense_surface.csv", "last iteration", columns=last)
    for recipe in ("c4_original", "rpj", "rw_original"):
        for loss in _GADRE_LOSSES:
            yield PublicTable(
                "gadre_overtraining.csv",
                f"{recipe}, {loss}",
                f"recipe = '{recipe}'",
                {"loss": f"loss_{loss}"},
            )
    yield from _by_recipe(
        "datablations_c4.csv", {"datablations_c4": "all", "datablations_c4_dedup": "deduplicated"}
    )
    for label, condition in (("one epoch", "epochs <= 1"), ("up to 4 epochs", "epochs <= 4")):
        yield PublicTable(
            "datablations_c4.csv", label, f"recipe = 'datablations_c4' and {condition}"
        )
    yield PublicTable("farseer_grid.csv")
    yield PublicTable("farseer_grid.csv", "as fitted in the paper", "params > 2e8 and params < 6e9")
    for loss in _FARSEER_LOSSES:
        yield PublicTable("farseer_grid.csv", loss, columns={"loss": loss})
    yield PublicTable("farseer_extrapolation.csv")
    yield PublicTable("scalebench/data_constrained_train.csv")
    yield PublicTable("scalebench/data_constrained_test.csv")
    columns = {"params": "non_embedding_param_size", "tokens": "data_size", "loss": "lm_loss"}
    yield PublicTable("scalebench/lr_bsz_train.csv", columns=columns)


def unknown_files(folder: Path) -> list[str]:
    """Files of the folder that are neither a table nor left out for a reason."""
    known = {table.file for table in public_tables()} | set(LEFT_OUT)
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*.csv")}
    return sorted(present - known)
