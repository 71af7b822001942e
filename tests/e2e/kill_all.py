"""kill -9 at every call of a delivery of thirty tickets, before and after it: `python -m tests.e2e.kill_all`.

Takes half an hour or more. Prints a line for each call and moment: its number in an undisturbed delivery, what it is,
before or after, how many tickets there were in the end, duplicates, and whether everything is as if nothing had
happened. Options: `--flavour cloud` (with a search that lags by two seconds), `--threads 8`, `--every 5`.
"""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.e2e.kill import Call, When, differences, in_runs, prepare, run
from tests.e2e.nursery import nursery

LAGS = {"datacenter": (1.0, 0.0), "cloud": (2.5, 2.0)}  # what vmjira is told, and what is true


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flavour", choices=LAGS, default="datacenter")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--every", type=int, default=1, help="only every n-th call")
    asked = parser.parse_args()
    search_lag, index_lag = LAGS[asked.flavour]
    wrong = 0
    began = time.monotonic()
    with TemporaryDirectory(prefix="vmjira-kill-") as temporary, nursery() as workers:
        folder = Path(temporary)
        prepare(folder / "base", asked.flavour)

        def once(points: dict[Call, When], name: str):  # type: ignore[no-untyped-def]
            lags = {"search_lag": search_lag, "index_lag": index_lag}
            return run(folder / "base", folder / name, asked.flavour, points, workers, threads=asked.threads, **lags)

        expected = once({}, "undisturbed")
        numbers = {call: number for number, call in enumerate(expected.calls, 1)}
        print(f"{asked.flavour}: {len(expected.tickets)} tickets, {len(numbers)} calls, undisturbed", flush=True)
        chosen = [call for call, number in numbers.items() if number % asked.every == 0]
        runs = in_runs([(call, when) for call in chosen for when in ("before", "after")])  # type: ignore[misc]
        print(f"{2 * len(chosen)} kills in {len(runs)} deliveries", flush=True)
        killed = 0
        for number, points in enumerate(runs, 1):
            found = once(points, f"run-{number}")
            said = differences(expected, found)
            missed = set(points) - {call for call, _ in found.kills}
            killed += len(found.kills)
            wrong += bool(said)
            for call, when in sorted(found.kills, key=lambda kill: numbers[kill[0]]):
                good = "ok" if not said else "WRONG"
                print(
                    f"{numbers[call]:4} {when:6} {len(found.tickets):3} {found.duplicates:2} {good:5} {call}",
                    flush=True,
                )
            for problem in said:
                print(f"     {problem}")
            for call in missed:
                print(f"     never came, because after a kill it is not needed (for this ticket): {call}")
            print(f"-- delivery {number}/{len(runs)}, {time.monotonic() - began:.0f} s", flush=True)
    print(f"{killed} kills, {wrong} deliveries that did not end as if nothing had happened")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
