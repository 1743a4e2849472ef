"""A run, or some of its trajectories, as one self-contained page to send around: no server, no network, nothing beside it.

The table comes first; `page.html#t-NAME` shows a trajectory. Images are JPEG (blocks that an edit did not touch stay the
same, so differences show edits alone), each stored once in a table that the page's own script reads. A Content-Security-
Policy inside the page lets that script and style run, by their hashes, and nothing else.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from markupsafe import Markup

from anomalyagent.configs.paths import expand_home
from anomalyagent.errors import ImageError, TraceError, WorkspaceError
from anomalyagent.graph.files import write_atomically
from anomalyagent.graph.report import choose_shown
from anomalyagent.graph.review import agreement
from anomalyagent.graph.run_index import Entry
from anomalyagent.graph.viewer.images import Images, Picture, missing_picture
from anomalyagent.graph.viewer.listing import Query, list_entries
from anomalyagent.graph.viewer.pages import STATIC, Chosen, choose, environment, part, static_version
from anomalyagent.graph.viewer.runs import OpenRun, Stand
from anomalyagent.graph.viewer.story import Rewards, ShownImage, Story, tell

__all__ = ["MOST_TOLD", "export_page", "export_run"]

MOST_TOLD = 80
"""Trajectories that are told in full unless more are asked for: about 10 MB at 256 x 256."""
MOST_ROWS = 2000
_THUMBS = 400


def export_run(
    run_dir: Path,
    out: Path,
    names: Sequence[str] | None = None,
    most: int = MOST_TOLD,
    rewards: Rewards | None = None,
    *,
    whole_run: bool = True,
) -> list[str]:
    """Write the page.

    Args:
        names: trajectories to tell in full; None: all, or `most` of them, an equal share of each outcome.
        whole_run: with the table of the run before the trajectories.
    Returns:
        The names of those that are told.
    Raises:
        TraceError: the folder holds no run, or a named trajectory cannot be read.
        RunError: the page cannot be written.
    """
    run = OpenRun(run_dir, "run")
    entries = run.index.refresh() if whole_run else ()
    if names is None:
        names = _pick([entry for entry in entries if entry.outcome != "unreadable"], most)
    else:
        for name in names:
            run.open(name)  # one that was asked for by name is not left out in silence
    text = export_page(run, names, rewards, whole_run=whole_run)
    write_atomically(expand_home(out).absolute(), text.encode("utf-8", "replace"))
    return list(names)


def export_page(run: OpenRun, names: Sequence[str], rewards: Rewards | None, *, whole_run: bool = False) -> str:
    """The page.

    Args:
        whole_run: with the table of the run before the trajectories.
    Raises:
        TraceError: a trajectory cannot be read.
    """
    links = _FileLinks(run, set(names))
    stories: list[tuple[str, Story, Chosen]] = []
    for name in names:
        try:
            story = tell(name, run.open(name), run.workspace, rewards)
        except TraceError:
            if not whole_run:
                raise
            continue  # written anew or damaged since the index was read: the table says so
        stories.append((name, story, choose(story, {})))
    entries = run.index.entries if whole_run else ()
    listing = list_entries(entries[:MOST_ROWS], Query(), run.reviews)
    listing = SimpleNamespace(**{**listing.__dict__, "rows": entries[:MOST_ROWS], "pages": 1})
    links.thumbs_left = _THUMBS
    outcomes: dict[str, Any] = {entry.name: entry.outcome for entry in entries if entry.outcome != "unreadable"}
    style = (STATIC / "viewer.css").read_text("utf-8")
    script = (STATIC / "viewer.js").read_text("utf-8") + (STATIC / "export.js").read_text("utf-8")
    values: dict[str, Any] = {
        "title": f"{run.title}: trajectories" if whole_run else names[0],
        "run": run,
        "stand": Stand("", reading=False),
        "state": run.state,
        "query": Query(),
        "listing": listing,
        "left_out": max(0, len(entries) - MOST_ROWS),
        "links": links,
        "here": "#",
        "reviews": run.reviews,
        "agreement": agreement(outcomes, run.reviews),
        "may_review": None,
        "stories": stories,
        "whole_run": whole_run,
        "static_version": static_version(),
        "export": SimpleNamespace(style=Markup(style), script=Markup(script), policy=_policy(style, script)),
        "store": links.store,
    }
    return environment().get_template("export.html.j2").render(**values)


def _pick(entries: Sequence[Entry], most: int) -> list[str]:
    kinds = [[entry.name for entry in entries if entry.outcome == outcome] for outcome in ("rejected", "failed", "accepted")]
    shown = choose_shown([len(kind) for kind in kinds], most)
    return sorted(kind[number] for kind, numbers in zip(kinds, shown, strict=True) for number in numbers)


def _policy(style: str, script: str) -> str:
    def digest(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; style-src {digest(style)}; script-src {digest(script)}; img-src data:; "
        "form-action 'none'; base-uri 'none'"
    )


class _FileLinks:
    """Addresses inside one file."""

    text: Callable[[str, int, str], str] | None = None

    def __init__(self, run: OpenRun, told: set[str]) -> None:
        self._images = Images(run.workspace)
        self._told = told
        self._stored: dict[str, str] = {}
        self.thumbs_left = 0

    def story(self, name: str, suffix: str = "") -> str:
        del suffix
        return f"#t-{part(name)}" if name in self._told else "#main"

    def query(self, address: str) -> str:
        del address  # an exported table knows one order and no pages
        return "#main"

    score_range = None

    def thumb(self, entry: Entry, which: str) -> str:
        if self.thumbs_left <= 0 and entry.name not in self._told:
            return "data:,"
        self.thumbs_left -= 1
        made = self._try(lambda: self._images.thumb(which, str(entry.normal), entry.image, entry.mask))
        return _data_uri(made)

    def image(self, story: Story, image: ShownImage, prefix: str = "") -> Markup:
        normal = story.trajectory.task.normal_image
        return self._attribute(image.ref, prefix, lambda: self._images.compact(image.ref, normal))

    def mask(self, story: Story, image: ShownImage, prefix: str = "") -> Markup:
        mask = story.mask_of(image.number)
        normal = story.trajectory.task.normal_image
        if mask is not None and not mask.problem:
            return self._attribute(mask.ref, prefix, lambda: self._images.full(mask.ref, normal))
        return self._attribute(f"{image.ref} changed", prefix, lambda: self._images.changed(normal, image.ref))

    def hidden(self) -> Markup:
        return Markup("")

    def store(self) -> Markup:
        """Every image once, as JSON that cannot end its <script>."""
        return Markup(json.dumps(self._stored).replace("<", "\\u003c"))

    def _attribute(self, what: str, prefix: str, make: Callable[[], Picture]) -> Markup:
        key = hashlib.sha256(what.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        if key not in self._stored:
            self._stored[key] = _data_uri(self._try(make))
        name = f"{prefix}image" if prefix else "data-image"
        return Markup('{}="{}"').format(Markup(name), key)

    def _try(self, make: Callable[[], Picture]) -> Picture:
        try:
            return make()
        except (ImageError, WorkspaceError):
            return missing_picture()


def _data_uri(picture: Picture) -> str:
    return f"data:{picture.media_type};base64,{base64.b64encode(picture.data).decode('ascii')}"
