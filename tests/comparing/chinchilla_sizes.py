"""The fifty models of Chinchilla, by Table A9 of Hoffmann et al. 2022 (arXiv:2203.15556)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from isoloss.arrays import Array
from isoloss.runs import Runs, read_runs

# N in millions, d_model, d_ff, head_dim, n_heads, n_layers.
TABLE_A9 = (
    (44, 512, 2048, 64, 8, 8),
    (57, 576, 2304, 64, 9, 9),
    (74, 640, 2560, 64, 10, 10),
    (90, 640, 2560, 64, 10, 13),
    (106, 640, 2560, 64, 10, 16),
    (117, 768, 3072, 64, 12, 12),
    (140, 768, 3072, 64, 12, 15),
    (163, 768, 3072, 64, 12, 18),
    (175, 896, 3584, 64, 14, 14),
    (196, 896, 3584, 64, 14, 16),
    (217, 896, 3584, 64, 14, 18),
    (251, 1024, 4096, 64, 16, 16),
    (278, 1024, 4096, 64, 16, 18),
    (306, 1024, 4096, 64, 16, 20),
    (425, 1280, 5120, 128, 10, 18),
    (489, 1280, 5120, 128, 10, 21),
    (509, 1408, 5632, 128, 11, 18),
    (552, 1280, 5120, 128, 10, 24),
    (587, 1408, 5632, 128, 11, 21),
    (632, 1536, 6144, 128, 12, 19),
    (664, 1408, 5632, 128, 11, 25),
    (724, 1536, 6144, 128, 12, 22),
    (816, 1536, 6144, 128, 12, 23),
    (893, 1792, 7168, 128, 14, 20),
    (1018, 1792, 7168, 128, 14, 22),
    (1143, 1792, 7168, 128, 14, 26),
    (1266, 2048, 8192, 128, 16, 20),
    (1424, 2176, 8704, 128, 17, 22),
    (1429, 2048, 8192, 128, 16, 25),
    (1593, 2048, 8192, 128, 16, 28),
    (1609, 2176, 8704, 128, 17, 25),
    (1731, 2304, 9216, 128, 18, 24),
    (1794, 2176, 8704, 128, 17, 28),
    (2007, 2304, 9216, 128, 18, 26),
    (2283, 2304, 9216, 128, 18, 32),
    (2298, 2560, 10240, 128, 20, 26),
    (2639, 2560, 10240, 128, 20, 30),
    (2980, 2560, 10240, 128, 20, 34),
    (3530, 2688, 10752, 128, 22, 36),
    (3802, 2816, 11264, 128, 22, 36),
    (4084, 2944, 11776, 128, 22, 36),
    (4516, 3072, 12288, 128, 24, 36),
    (6796, 3584, 14336, 128, 28, 40),
    (9293, 4096, 16384, 128, 32, 42),
    (11452, 4352, 17408, 128, 32, 47),
    (12295, 4608, 18432, 128, 36, 44),
    (12569, 4608, 18432, 128, 32, 47),
    (13775, 4864, 19456, 128, 36, 47),
    (14940, 4992, 19968, 128, 32, 49),
    (16183, 5120, 20480, 128, 40, 47),
)
COLUMNS = ("millions", "d_model", "d_ff", "head_dim", "n_heads", "n_layers")
# Schaeffer et al. 2025, arXiv:2509.23963.
VOCABULARY = 32168


def sizes() -> pl.DataFrame:
    """Table A9 with the columns that Isoloss reads shapes from."""
    return pl.DataFrame(TABLE_A9, schema=COLUMNS, orient="row").with_columns(
        pl.lit(VOCABULARY).alias("vocabulary_size")
    )


def with_shapes(folder: Path) -> Runs:
    """The 240 digitised runs of Chinchilla, each with the shape whose N in Table A9 is its own."""
    runs = read_runs(folder / "chinchilla_fig4_epoch.csv", where="not excluded_by_epoch")
    frame = runs.frame.select("params", "tokens", "loss").with_columns(
        (pl.col("params") / 1e6).round().cast(pl.Int64).alias("millions")
    )
    joined = frame.join(sizes(), on="millions", how="left", maintain_order="left")
    assert joined["d_model"].null_count() == 0
    return read_runs(joined)


def to_the_million(params: Array) -> Array:
    """N as the paper on robustness writes it, in whole millions."""
    return np.asarray(1e6 * np.round(params / 1e6))
