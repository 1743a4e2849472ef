"""The table of a run: which entries a query asks for, in which order, and the figures and histograms over them."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode

from anomalyagent.graph.review import Review
from anomalyagent.graph.run_index import Entry

__all__ = ["PAGE_SIZE", "SORTS", "SORT_CHOICES", "Bar", "Histogram", "Listing", "Query", "Reason", "list_entries", "select"]

PAGE_SIZE = 50

SORTS: dict[str, tuple[str, Callable[[Entry], Any]]] = {
    "name": ("name", lambda one: one.name),
    "started": ("start", lambda one: one.started_at),
    "score": ("score", lambda one: -1.0 if one.score is None else one.score),
    "location": ("location score", lambda one: -1.0 if one.location_score is None else one.location_score),
    "quality": ("quality score", lambda one: -1.0 if one.quality_score is None else one.quality_score),
    "rounds": ("rounds", lambda one: one.rounds),
    "findings": ("findings", lambda one: len(one.findings)),
    "seconds": ("time", lambda one: one.seconds),
    "cost": ("cost", lambda one: one.cost_usd),
    "outcome": ("outcome", lambda one: one.outcome),
    "type": ("type", lambda one: (one.item, one.anomaly_type)),
}
"""Key in addresses -> words, value. A leading `-` in an address turns the order round."""

SORT_CHOICES = {
    "name": "by name",
    "-started": "newest first",
    "-score": "highest score",
    "score": "lowest score",
    "-rounds": "most rounds",
    "-findings": "most findings",
    "-seconds": "slowest",
    "-cost": "dearest",
}
"""The orders that are offered by name."""

_OUTCOMES = ("accepted", "rejected", "failed", "unreadable")
_VERDICTS = ("keep", "drop", "fix", "none")


class Query(NamedTuple):
    """What the address asks for. Empty: everything."""

    q: str = ""
    type: str = ""
    outcome: str = ""
    finding: str = ""
    verdict: str = ""
    low: float | None = None
    high: float | None = None
    sort: str = "name"
    page: int = 1

    @classmethod
    def read(cls, params: Mapping[str, str]) -> "Query":
        """From the parameters of an address; what makes no sense counts as not given."""
        sort = params.get("sort", "name")
        outcome, verdict = params.get("outcome", ""), params.get("verdict", "")
        page = params.get("page", "1")
        return cls(
            q=params.get("q", "").strip()[:200],
            type=params.get("type", ""),
            outcome=outcome if outcome in _OUTCOMES else "",
            finding=params.get("finding", ""),
            verdict=verdict if verdict in _VERDICTS else "",
            low=_number(params.get("low")),
            high=_number(params.get("high")),
            sort=sort if sort.removeprefix("-") in SORTS else "name",
            page=max(1, int(page)) if page.isdecimal() and len(page) < 8 else 1,
        )

    def address(self, **changes: Any) -> str:
        """The parameters of an address, `?` and all, without what is not set. Another filter begins at page 1."""
        one = self._replace(page=1)._replace(**changes) if changes else self
        defaults = Query()
        given = {
            name: (f"{value:g}" if isinstance(value, float) else str(value))
            for name, value in one._asdict().items()
            if value != getattr(defaults, name)
        }
        return f"?{urlencode(given, errors='replace')}" if given else "?"

    @property
    def filters(self) -> bool:
        """Anything but order and page is set."""
        return self._replace(sort="name", page=1) != Query()


class Bar(NamedTuple):
    """One bar of a histogram: from, to (the last one open), and how many of each outcome."""

    low: float
    high: float
    accepted: int
    rejected: int
    failed: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.accepted + self.rejected + self.failed


@dataclass(frozen=True)
class Histogram:
    """`open_end`: the last bar also holds everything above it. `unit`: of the axis."""

    title: str
    unit: str
    bars: tuple[Bar, ...]
    open_end: bool = False

    @property
    def most(self) -> int:
        """Height of the highest bar."""
        return max((bar.total for bar in self.bars), default=0)


@dataclass(frozen=True)
class Reason:
    """Why trajectories were not accepted: in words, how many, and the query that lists them."""

    text: str
    count: int
    address: str


@dataclass(frozen=True)
class Listing:
    """A page of the table, and everything above it."""

    query: Query
    total: int
    matches: int
    rows: tuple[Entry, ...]
    pages: int
    outcomes: Mapping[str, int]
    types: Sequence[str]
    findings: Sequence[tuple[str, int]]
    reasons: Sequence[Reason]
    scores: Histogram
    times: Histogram
    score_mean: float | None
    rounds_mean: float | None
    seconds_per_good: float | None
    cost_usd: float


def select(entries: Sequence[Entry], query: Query, reviews: Mapping[str, Review]) -> list[Entry]:
    """The entries that a query asks for, in its order."""
    words = query.q.casefold().split()

    def wanted(one: Entry) -> bool:
        if query.outcome and one.outcome != query.outcome:
            return False
        if query.type and one.anomaly_type != query.type:
            return False
        if query.finding and query.finding not in one.findings:
            return False
        if query.low is not None and (one.score is None or one.score < query.low):
            return False
        if query.high is not None and (one.score is None or one.score > query.high):
            return False
        if query.verdict:
            review = reviews.get(one.name)
            if (review.verdict if review else "none") != query.verdict:
                return False
        if words:
            text = " ".join((one.name, one.item, one.anomaly_type, one.reason, one.policy, *one.findings)).casefold()
            return all(word in text for word in words)
        return True

    found = [one for one in entries if wanted(one)] if query.filters else list(entries)
    key = SORTS[query.sort.removeprefix("-")][1]
    found.sort(key=key, reverse=query.sort.startswith("-"))
    return found


def list_entries(entries: Sequence[Entry], query: Query, reviews: Mapping[str, Review]) -> Listing:
    """One page of the table, with the figures over all matches."""
    found = select(entries, query, reviews)
    pages = max(1, math.ceil(len(found) / PAGE_SIZE))
    page = min(query.page, pages)
    query = query._replace(page=page)
    outcomes = Counter(one.outcome for one in found)
    findings = Counter(name for one in found if one.outcome != "accepted" for name in one.findings)
    scored = [one.score for one in found if one.outcome == "accepted" and one.score is not None]
    worked = [one for one in found if one.outcome != "unreadable"]
    good = outcomes.get("accepted", 0)
    return Listing(
        query=query,
        total=len(entries),
        matches=len(found),
        rows=tuple(found[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]),
        pages=pages,
        outcomes={name: outcomes.get(name, 0) for name in _OUTCOMES},
        types=sorted({one.anomaly_type for one in entries if one.anomaly_type}),
        findings=findings.most_common(40),
        reasons=_reasons(found, query),
        scores=_score_histogram(found),
        times=_time_histogram(worked),
        score_mean=sum(scored) / len(scored) if scored else None,
        rounds_mean=sum(one.rounds for one in worked) / len(worked) if worked else None,
        seconds_per_good=sum(one.seconds for one in worked) / good if good else None,
        cost_usd=sum(one.cost_usd for one in worked),
    )


def _reasons(found: Sequence[Entry], query: Query) -> list[Reason]:
    """Rejections by their worst finding, failures by how they failed."""
    counts: Counter[tuple[str, str]] = Counter()
    for one in found:
        if one.outcome == "rejected":
            counts["rejected", one.findings[0] if one.findings else ""] += 1
        elif one.outcome != "accepted":
            counts[one.outcome, one.reason.splitlines()[0][:90] if one.reason else ""] += 1
    reasons: list[Reason] = []
    for (outcome, text), count in counts.most_common(10):
        if outcome == "rejected" and text:
            reasons.append(Reason(text, count, query.address(outcome=outcome, finding=text)))
        else:
            words = text or "score too low, no finding named"
            reasons.append(
                Reason(f"{outcome}: {words}", count, query.address(outcome=outcome, q=text[:60] if text else query.q))
            )
    return reasons


def _score_histogram(found: Sequence[Entry]) -> Histogram:
    edges = [step / 2 for step in range(21)]
    values = [(one.score, one.outcome) for one in found if one.score is not None and math.isfinite(one.score)]
    return Histogram("Score", "of 10", _bars(values, edges))


def _time_histogram(found: Sequence[Entry]) -> Histogram:
    values = [(one.seconds, one.outcome) for one in found if math.isfinite(one.seconds)]
    ordered = sorted(value for value, _ in values)
    top = ordered[min(len(ordered) - 1, int(0.98 * len(ordered)))] if ordered else 1.0
    step = _round_step(max(top, 1e-3) / 16)
    edges = [step * number for number in range(math.ceil(max(top, 1e-3) / step) + 1)]
    return Histogram("Time", "s", _bars(values, edges), open_end=bool(ordered) and ordered[-1] > edges[-1])


def _bars(values: Sequence[tuple[float, str]], edges: Sequence[float]) -> tuple[Bar, ...]:
    counts: list[Counter[str]] = [Counter() for _ in edges[1:]]
    step = edges[1] - edges[0]
    for value, outcome in values:
        counts[min(max(0, int(value / step)), len(counts) - 1)][outcome] += 1
    return tuple(
        Bar(low, high, count["accepted"], count["rejected"], count["failed"])
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
    )


def _round_step(step: float) -> float:
    """1, 2 or 5 times a power of ten, not below `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * nice for nice in (1, 2, 5, 10) if power * nice >= step * 0.999)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
