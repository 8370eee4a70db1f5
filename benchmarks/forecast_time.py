"""What a forecast takes, everything included, against one Farseer fit with 1,000 replicates.

.venv/bin/python benchmarks/forecast_time.py
"""

from __future__ import annotations

import time

from public_tables import FOLDER, PublicTable

import isoloss


def main() -> None:
    runs = PublicTable("farseer_grid.csv", where="not duplicate_row").read(FOLDER)
    isoloss.forecast(runs.where("params > 2e9"), [(1e10, 2e11)], bootstrap=0)
    started = time.perf_counter()
    isoloss.fit(runs, "farseer", bootstrap=1000)
    fitted = time.perf_counter() - started
    started = time.perf_counter()
    forecast = isoloss.forecast(runs, [(25e9, 5e11)])
    forecasted = time.perf_counter() - started
    print(f"{len(runs)} runs: one Farseer fit with 1,000 replicates {fitted:.2f} s")
    print(f"forecast with {len(forecast.by_law)} laws {forecasted:.2f} s")
    print(f"ratio {forecasted / fitted:.2f}")


if __name__ == "__main__":
    main()
