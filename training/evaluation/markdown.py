"""Tables and figures in Markdown, the same everywhere."""

from collections.abc import Sequence
from statistics import mean, stdev

__all__ = ["as_figure", "as_share", "as_table"]


def as_table(heading: Sequence[str], rows: Sequence[Sequence[str]], names: int = 1) -> str:
    """The first `names` columns to the left, all others to the right."""
    lines = [heading, [*["---"] * names, *["---:"] * (len(heading) - names)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def as_figure(value: float | None, digits: int = 2) -> str:
    """A number, `-` when there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def as_share(values: Sequence[float]) -> str:
    """Shares in percent: mean ± standard deviation of several, one alone as it is, `-` of none."""
    if not values:
        return "-"
    return f"{100 * mean(values):.1f}" + (f" ± {100 * stdev(values):.1f}" if len(values) > 1 else "")
