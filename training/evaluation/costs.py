"""`evaluate cost`: what a good sample costs in time and money, from the records of runs."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from anomalyagent.errors import ConfigError, RunError
from anomalyagent.graph.runfile import read_run_file
from anomalyagent.training.evaluation.markdown import as_figure, as_table
from anomalyagent.training.evaluation.paper import PAPER

__all__ = ["Cost", "as_json", "as_markdown", "measure_costs"]


class Cost(NamedTuple):
    """One run.

    Attributes:
        tried: trajectories, `accepted`: those that the run's own judge passed.
        seconds, dollars: of all trajectories, failed and rejected ones included.
        good_rate: share of the accepted samples that is good (experts, or the judge's estimate); None: all count as good.
        judged: no expert gave that rate, it is our judge's estimate.
    """

    name: str
    tried: int
    accepted: int
    seconds: float
    dollars: float
    good_rate: float | None
    judged: bool = False

    @property
    def good(self) -> float:
        """Expected number of good samples."""
        return self.accepted * (1.0 if self.good_rate is None else self.good_rate)

    @property
    def seconds_per_good(self) -> float | None:
        """None without any good sample."""
        return self.seconds / self.good if self.good else None

    @property
    def dollars_per_good(self) -> float | None:
        """None without any good sample."""
        return self.dollars / self.good if self.good else None


def measure_costs(runs: Mapping[str, Path], good_rates: Mapping[str, float], judged: Collection[str] = ()) -> list[Cost]:
    """The costs of runs.

    Args:
        good_rates: name of a run -> share of its accepted samples that is good, 0..1.
        judged: names whose rate is our judge's estimate.
    Raises:
        ConfigError: a rate is of no run, or outside 0..1.
        RunError: a folder holds no finished run.
    """
    for name, rate in good_rates.items():
        if name not in runs:
            raise ConfigError(f"a good rate is given for '{name}', which is no run; runs: {', '.join(runs)}.")
        if not 0 <= rate <= 1:
            raise ConfigError(f"the good rate of '{name}' is {rate}; it is a share, 0 to 1.")
    return [_cost(name, folder, good_rates.get(name))._replace(judged=name in judged) for name, folder in runs.items()]


def as_markdown(costs: list[Cost]) -> str:
    """Our runs beside the paper's rows."""
    rows = [
        (row.method, "-", "-", as_figure(row.good_rate, 1), as_figure(row.seconds, 1), as_figure(row.dollars, 4))
        for row in PAPER
        if row.seconds is not None
    ]
    for one in costs:
        rate = "all" if one.good_rate is None else f"{100 * one.good_rate:.1f}{' (our judge)' if one.judged else ''}"
        figures = as_figure(one.seconds_per_good, 2), as_figure(one.dollars_per_good, 4)
        rows.append((f"**{one.name}**", str(one.tried), str(one.accepted), rate, *figures))
    heading = ("method", "trajectories", "accepted", "good, %", "s per good", "$ per good")
    return (
        "Cost of a good sample. Seconds and dollars are those of all trajectories of a run, rejected ones included, over its "
        "good samples; `all` means that nobody rated them, and every accepted one counts; `our judge`, that no expert did. "
        f"Rows without a count are the paper's, on its machines, by three experts.\n\n{as_table(heading, rows)}\n"
    )


def as_json(costs: list[Cost]) -> str:
    """What was measured, as a JSON list."""
    derived = ("seconds_per_good", "dollars_per_good")
    return json.dumps([one._asdict() | {name: getattr(one, name) for name in derived} for one in costs], indent=2) + "\n"


def _cost(name: str, folder: Path, rate: float | None) -> Cost:
    found = read_run_file(folder)
    if found is None or found.summary is None:
        raise RunError(f"{folder} holds no finished run (run.json with a summary). Give the folder that --out named.")
    summary = found.summary
    seconds = (summary.seconds_per_good or 0.0) * summary.accepted
    tried = summary.accepted + summary.rejected + summary.failed
    return Cost(name, tried, summary.accepted, seconds, summary.cost_usd, rate)
