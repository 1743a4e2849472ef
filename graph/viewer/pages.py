"""Templates, the words for numbers, and the addresses that a page uses: the server's own, or those inside one exported file."""

import hashlib
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl, quote, urlencode

import jinja2
from markupsafe import Markup

from anomalyagent.graph.run_index import Entry
from anomalyagent.graph.viewer.listing import Bar, Query
from anomalyagent.graph.viewer.runs import OpenRun, shorten
from anomalyagent.graph.viewer.story import ShownImage, Story, pretty

__all__ = ["STATIC", "VIEWS", "Chosen", "Links", "ServerLinks", "choose", "environment", "part", "static_version"]

STATIC = Path(__file__).parent / "static"
_TEMPLATES = Path(__file__).parent / "templates"

VIEWS = ("anomaly", "marked", "normal", "mask", "difference", "swipe")
ZOOMS = ("fit", "1", "2", "4", "8")


class Links(Protocol):
    """Addresses of everything that a page points to. Image addresses are attributes of an <img>, ready escaped."""

    text: Callable[[str, int, str], str] | None

    def story(self, name: str, suffix: str = "") -> str: ...

    def query(self, address: str) -> str: ...

    def score_range(self, bar: Bar) -> str: ...

    def thumb(self, entry: Entry, which: str) -> str: ...

    def image(self, story: Story, image: ShownImage, prefix: str = "") -> Markup: ...

    def mask(self, story: Story, image: ShownImage, prefix: str = "") -> Markup: ...

    def hidden(self) -> Markup: ...


class ServerLinks:
    """Addresses of the server's pages of one run; `query` is kept from page to page."""

    def __init__(self, run: OpenRun, query: Query, extra: dict[str, str] | None = None) -> None:
        self.base = f"/r/{part(run.key)}"
        self._query = query
        self._extra = extra or {}
        self.text: Callable[[str, int, str], str] | None = self._text

    def story(self, name: str, suffix: str = "") -> str:
        """A trajectory's page, or one below it."""
        given = self._query.address(page=self._query.page).removeprefix("?")
        both = "&".join(filter(None, (given, urlencode(self._extra))))
        return f"{self.base}/t/{part(name)}{suffix}{f'?{both}' if both else ''}"

    def query(self, address: str) -> str:
        """The run page with other parameters."""
        return f"{self.base}{'' if address == '?' else address}"

    def score_range(self, bar: Bar) -> str:
        """The run page, only with scores of one bar."""
        return self.query(self._query.address(low=bar.low, high=bar.high))

    def thumb(self, entry: Entry, which: str) -> str:
        """A small picture; its address changes with what it shows."""
        shown = hashlib.sha256(repr((entry.normal, entry.image, entry.mask)).encode("utf-8", "surrogatepass")).hexdigest()[:10]
        return f"{self.base}/t/{part(entry.name)}/thumb/{which}?v={shown}"

    def image(self, story: Story, image: ShownImage, prefix: str = "") -> Markup:
        """An image in all its pixels."""
        address = f"{self.base}/t/{part(story.entry.name)}/image/{image.number}?v={part(image.digest)}"
        return Markup('{}src="{}"').format(Markup(prefix), address)

    def mask(self, story: Story, image: ShownImage, prefix: str = "") -> Markup:
        """The mask of an anomaly image, or what changed in it where no mask was made."""
        mask = story.mask_of(image.number)
        if mask is not None and not mask.problem:
            return self.image(story, mask, prefix)
        address = f"{self.base}/t/{part(story.entry.name)}/changed/{image.number}?v={part(image.digest)}"
        return Markup('{}src="{}"').format(Markup(prefix), address)

    def hidden(self) -> Markup:
        """The kept parameters as fields of a form."""
        fields = {**dict(_pairs(self._query.address(page=self._query.page))), **self._extra}
        return Markup("").join(Markup('<input type="hidden" name="{}" value="{}">').format(k, v) for k, v in fields.items())

    def _text(self, name: str, turn: int, what: str) -> str:
        return f"{self.base}/t/{part(name)}/text/{turn}/{what}"


class Chosen(NamedTuple):
    """What the images of a page show first."""

    image: ShownImage | None
    against: ShownImage | None
    view: str
    zoom: str


def choose(story: Story, params: dict[str, str]) -> Chosen:
    """From the parameters of an address; what makes no sense counts as not given."""
    image = next((one for one in story.anomalies if str(one.number) == params.get("image")), story.first_image)
    others = [one for one in (story.normal, *story.anomalies) if one is not None]
    against = next((one for one in others if str(one.number) == params.get("with")), story.normal or image)
    view, zoom = params.get("view", ""), params.get("zoom", "")
    return Chosen(image, against, view if view in VIEWS else "anomaly", zoom if zoom in ZOOMS else "fit")


def part(text: str) -> str:
    """One part of an address, quoted."""
    return quote(text, safe="", errors="replace")


@cache
def environment() -> jinja2.Environment:
    """Templates with autoescape; a missing variable is an error."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters: dict[str, Callable[..., Any]] = {
        "ago": _ago,
        "count": "{:,}".format,
        "css": _css,
        "cut": shorten,
        "day": _day,
        "f1": "{:.1f}".format,
        "n1": partial(_fixed, digits=1),
        "n2": partial(_fixed, digits=2),
        "n3": partial(_fixed, digits=3),
        "part": part,
        "pretty": pretty,
        "seconds": _seconds,
        "short": "{:.3g}".format,
        "usd": _usd,
        "value": _value,
    }
    env.filters.update(filters)
    return env


@cache
def static_version() -> str:
    """Changes with the style and scripts, so that browsers may keep them."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(STATIC.iterdir())))
    return digest.hexdigest()[:10]


def _fixed(value: float | None, digits: int) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def _css(text: object) -> str:
    """The name of a step as a class of the style sheet."""
    return re.sub(r"[^a-z_]", "", str(text))


def _day(text: str) -> str:
    return text[:16].replace("T", " ")


def _seconds(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    if value < 1:
        return f"{1000 * value:.0f} ms"
    if value < 120:
        return f"{value:.1f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def _usd(value: float) -> str:
    if not math.isfinite(value) or value == 0:
        return "–" if value else "free"
    return f"${value:.4f}" if abs(value) < 0.1 else f"${value:,.2f}"


def _ago(text: str) -> str:
    try:
        then = datetime.fromisoformat(text)
    except ValueError:
        return text
    seconds = (datetime.now(UTC) - then).total_seconds()
    return "just now" if seconds < 8 else f"{_seconds(max(0.0, round(seconds)))} ago"


def _value(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else pretty(value)


def _pairs(address: str) -> list[tuple[str, str]]:
    return parse_qsl(address.removeprefix("?"))
