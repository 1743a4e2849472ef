"""The viewer as an ASGI application: every view an address, reading only unless told otherwise.

/                                   the runs (one run: its page)
/r/RUN?q=&type=&outcome=&...        the table of a run, live                            listing.py
/r/RUN/t/NAME?image=&view=&zoom=    a trajectory                                        story.py
/r/RUN/t/NAME/image/N, changed/N, thumb/whole|close, text/TURN/PART, export
/r/RUN/compare?a=&b=[&run=]         two trajectories, the second one of another run if wanted
/compare?a=&b=                      two runs
/r/RUN/review                       the next trajectory without a verdict
POST /r/RUN/t/NAME/review           a verdict (allow_review)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from anomalyagent.errors import AnomalyAgentError, ImageError, TraceError, WorkspaceError
from anomalyagent.graph.compare import compare_trajectories
from anomalyagent.graph.compare_runs import compare_runs
from anomalyagent.graph.fork_records import read_forks
from anomalyagent.graph.locate import iterate_trajectories
from anomalyagent.graph.review import VERDICTS, agreement, record_verdict
from anomalyagent.graph.run_index import Entry
from anomalyagent.graph.viewer.actions import Actions
from anomalyagent.graph.viewer.export import export_page
from anomalyagent.graph.viewer.guard import Guard
from anomalyagent.graph.viewer.images import Images, Picture, missing_picture
from anomalyagent.graph.viewer.listing import SORT_CHOICES, Query, list_entries, select
from anomalyagent.graph.viewer.pages import STATIC, ServerLinks, choose, part
from anomalyagent.graph.viewer.runs import OpenRun, OpenRuns, Stand
from anomalyagent.graph.viewer.story import PARTS, Rewards, tell, whole_text
from anomalyagent.graph.viewer.web import page, read_form, say

__all__ = ["Options", "make_app"]

_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".txt": "text/plain"}


@dataclass(frozen=True)
class Options:
    """What a viewer may do.

    Attributes:
        allow_review: verdicts may be given.
        allow_fork: trajectories may be forked, replayed and approved; implies `allow_review`.
        trust: forks may use the servers, models and backends that a run's own settings name (see `graph.fork.Forker`).
        rewards: terms of the training reward of a trajectory; None: no such column.
        port: the port it is served at, which the Host of every request must name; None: any.
        cache_dir: where summaries are kept; None: the user's cache folder.
        patience_s: how long a page waits for trajectories that were not read yet, before it shows those that were; seconds.
    """

    allow_review: bool = False
    allow_fork: bool = False
    trust: bool = False
    rewards: Rewards | None = None
    port: int | None = None
    cache_dir: Path | None = None
    patience_s: float = 0.25

    @property
    def may_review(self) -> bool:
        """Verdicts may be given."""
        return self.allow_review or self.allow_fork


def make_app(run_dirs: Sequence[Path], options: Options | None = None) -> ASGIApp:
    """The application for some runs.

    Raises:
        TraceError: a folder holds no run.
    """
    options = options or Options()
    viewer = _Viewer(OpenRuns(run_dirs, options.cache_dir, options.patience_s), options)
    app = Starlette(
        routes=viewer.routes(), exception_handlers={HTTPException: viewer.refused, AnomalyAgentError: viewer.broken}
    )
    return Guard(app, options.port)


class _Viewer:
    def __init__(self, runs: OpenRuns, options: Options) -> None:
        self._runs = runs
        self._options = options
        self._images = {run.key: Images(run.workspace) for run in runs}
        self._actions = Actions(runs, allowed=options.allow_fork, trust=options.trust)
        self._static = {path.name: path.read_bytes() for path in STATIC.iterdir()}

    def routes(self) -> list[Route]:
        one = "/r/{key}/t/{name}"
        return [
            Route("/", self.home),
            Route("/static/{file}", self.static),
            Route("/compare", self.compare_runs),
            Route("/r/{key}", self.run),
            Route("/r/{key}/compare", self.compare),
            Route("/r/{key}/review", self.review_next),
            Route(one, self.story),
            Route(f"{one}/image/{{number:int}}", self.image),
            Route(f"{one}/changed/{{number:int}}", self.changed),
            Route(f"{one}/thumb/{{which}}", self.thumb),
            Route(f"{one}/text/{{turn:int}}/{{what}}", self.text),
            Route(f"{one}/export", self.export),
            Route(f"{one}/review", self.give_verdict, methods=["POST"]),
            *self._actions.routes(),
        ]

    # pages

    def home(self, request: Request) -> Response:
        del request
        runs = list(self._runs)
        if len(runs) == 1:
            return RedirectResponse(f"/r/{part(runs[0].key)}", 307)
        return page("home.html.j2", title="Runs", runs=runs)

    def run(self, request: Request) -> Response:
        run, query = self._runs.of(request), Query.read(request.query_params)
        run.look()
        stand = run.stand()
        if request.query_params.get("since") == stand.version:
            return Response(status_code=204)
        with run.index.first():
            return self._run_page(request, run, query, stand)

    def _run_page(self, request: Request, run: OpenRun, query: Query, stand: Stand) -> Response:
        entries = run.index.entries
        listing = list_entries(entries, query, run.reviews)
        links = ServerLinks(run, query)
        response = page(
            "run.html.j2",
            title=f"{run.title}: trajectories",
            run=run,
            runs=list(self._runs),
            here=links.base,
            stand=stand,
            state=run.state,
            query=listing.query,
            listing=listing,
            all_findings=sorted({name for entry in entries for name in entry.findings}),
            sorts=SORT_CHOICES,
            links=links,
            reviews=run.reviews,
            agreement=_agreement(run, entries),
            may_review=self._options.may_review,
            forks=read_forks(run.run_dir) if self._options.allow_fork else [],
        )
        if "hx-request" in request.headers:  # the address of the page without what is not set
            response.headers["HX-Replace-Url"] = links.query(listing.query.address(page=listing.query.page))
        return response

    def story(self, request: Request) -> Response:
        run, query = self._runs.of(request), Query.read(request.query_params)
        name = request.path_params["name"]
        entries = run.look()
        opened = run.open(name)
        story = tell(name, opened, run.workspace, self._options.rewards)
        extra = {"reviewing": "1"} if request.query_params.get("reviewing") else {}
        links = ServerLinks(run, query, extra)
        listed = select(entries, query, run.reviews)
        before, after = _neighbours(listed, name)
        children = [entry.name for entry in entries if entry.parent == name]
        reviewing: dict[str, int] | None = None
        if extra:
            wider = select(entries, query._replace(verdict=""), run.reviews)
            reviewing = {"done": sum(1 for one in wider if one.name in run.reviews), "total": len(wider)}
        parent = opened.shown.parent_id
        return page(
            "story.html.j2",
            title=f"{name}: {opened.shown.outcome}",
            run=run,
            here=links.base,
            query=query,
            name=name,
            story=story,
            chosen=choose(story, dict(request.query_params)),
            links=links,
            before=before,
            after=after,
            children=children,
            review=run.reviews.get(name),
            reviewing=reviewing,
            skip=f"{links.base}/review{query.address(page=1)}&after={part(name)}" if extra else "",
            may_review=self._options.may_review,
            actions=self._options.allow_fork,
            parent_or_twin=parent if parent in {entry.name for entry in entries} else (after or before),
        )

    def compare(self, request: Request) -> Response:
        run = self._runs.of(request)
        params = request.query_params
        picked = params.getlist("pick")
        a, b = params.get("a", picked[0] if picked else ""), params.get("b", picked[1] if len(picked) > 1 else "")
        if len(picked) > 2 or not a or not b:
            return say(
                400,
                "Choose two trajectories",
                [f"{len(picked) if picked else 'Fewer than two'} were chosen. Tick two boxes in the table, then compare."],
                back=f"/r/{part(run.key)}",
                back_words=run.title,
            )
        other = self._runs.named(params.get("run", run.key))
        one, two = run.open(a), other.open(b)
        comparison = compare_trajectories(one.shown, two.shown)
        stories = (tell(a, one, run.workspace), tell(b, two, other.workspace))
        return page(
            "compare.html.j2",
            title=f"{a} and {b}",
            run=run,
            other=other,
            here=f"/r/{part(run.key)}",
            names=(a, b),
            comparison=comparison,
            stories=stories,
            links=(ServerLinks(run, Query()), ServerLinks(other, Query())),
        )

    def compare_runs(self, request: Request) -> Response:
        a, b = self._runs.named(request.query_params.get("a", "")), self._runs.named(request.query_params.get("b", ""))
        comparison = compare_runs(iterate_trajectories(a.run_dir), iterate_trajectories(b.run_dir))
        changed = [pair for pair in comparison.pairs if pair.parting is not None]
        shown = request.query_params.get("show", "")
        pairs = (
            [pair for pair in changed if pair.a != pair.b]
            if shown == "outcome"
            else changed
            if shown != "all"
            else comparison.pairs
        )
        return page(
            "compare_runs.html.j2",
            title=f"{a.run_dir.name} and {b.run_dir.name}",
            a=a,
            b=b,
            runs=list(self._runs),
            comparison=comparison,
            changed=len(changed),
            pairs=list(pairs)[:500],
            left_out=max(0, len(pairs) - 500),
            shown=shown,
        )

    # images and texts

    def image(self, request: Request) -> Response:
        run, trajectory = self._runs.of(request), self._trajectory(request)
        found = next((one for one in trajectory.images if one.number == request.path_params["number"]), None)
        if found is None:
            return _picture(missing_picture("no such image"), 404)
        return self._made(lambda images: images.full(found.ref, trajectory.task.normal_image), run)

    def changed(self, request: Request) -> Response:
        run, trajectory = self._runs.of(request), self._trajectory(request)
        found = next((one for one in trajectory.images if one.number == request.path_params["number"]), None)
        if found is None:
            return _picture(missing_picture("no such image"), 404)
        return self._made(lambda images: images.changed(trajectory.task.normal_image, found.ref), run)

    def thumb(self, request: Request) -> Response:
        run = self._runs.of(request)
        entry = run.index.entry(request.path_params["name"])
        if entry is None or entry.normal is None or request.path_params["which"] not in ("whole", "close"):
            return _picture(missing_picture(), 404)
        normal, which = entry.normal, request.path_params["which"]
        return self._made(lambda images: images.thumb(which, normal, entry.image, entry.mask), run)

    def text(self, request: Request) -> Response:
        run = self._runs.of(request)
        turns = run.open(request.path_params["name"]).whole.turns
        number, what = request.path_params["turn"], request.path_params["what"]
        if what not in PARTS or number >= len(turns):
            raise HTTPException(404, "There is no such text.")
        return PlainTextResponse(whole_text(turns[number], what))

    def static(self, request: Request) -> Response:
        name = request.path_params["file"]
        if name not in self._static:
            raise HTTPException(404, "There is no such file.")
        kept = {"cache-control": "public, max-age=31536000, immutable"}
        return Response(self._static[name], media_type=_MEDIA_TYPES[Path(name).suffix], headers=kept)

    # review

    def review_next(self, request: Request) -> Response:
        run, query = self._runs.of(request), Query.read(request.query_params)
        entries = run.look(whole=True)  # else it could say that nothing is left to review
        wanted = select(entries, query._replace(verdict="" if query.verdict == "none" else query.verdict), run.reviews)
        names = [entry.name for entry in wanted if entry.outcome in ("accepted", "rejected")]
        after = request.query_params.get("after", "")
        start = names.index(after) + 1 if after in names else 0
        todo = [name for name in names[start:] + names[:start] if name not in run.reviews and name != after]
        links = ServerLinks(run, query, {"reviewing": "1"})
        if todo:
            return RedirectResponse(links.story(todo[0]), 303)
        found = _agreement(run, entries)
        share = "" if found.share is None else f" Judge and reviewer agree on {100 * found.share:.0f} %."
        return say(
            200,
            "All reviewed",
            [f"Each of the {len(names)} trajectories that were asked for has its verdict.{share}"],
            back=links.base,
            back_words=run.title,
        )

    def export(self, request: Request) -> Response:
        """One trajectory as one file."""
        run, name = self._runs.of(request), request.path_params["name"]
        text = export_page(run, [name], self._options.rewards)
        kept = {"content-disposition": f"attachment; filename*=UTF-8''{part(name)}.html"}
        return HTMLResponse(text.encode("utf-8", "replace"), headers=kept)

    async def give_verdict(self, request: Request) -> Response:
        run = self._runs.of(request)
        form = await read_form(request)
        if not self._options.may_review:
            raise HTTPException(403, "This viewer only reads. Start it with --allow-review to give verdicts.")
        verdict = form.get("verdict", "")
        if verdict not in ("", *VERDICTS):
            raise HTTPException(400, f"A verdict is one of {', '.join(VERDICTS)}.")
        name = request.path_params["name"]
        run.open(name)
        chosen: Any = verdict or None
        await anyio.to_thread.run_sync(lambda: record_verdict(run.run_dir, name, chosen, form.get("note", "")))
        query = Query.read(request.query_params)
        if form.get("next"):
            given = query.address(page=1)
            return RedirectResponse(f"/r/{part(run.key)}/review{given}&after={part(name)}", 303)
        return RedirectResponse(ServerLinks(run, query).story(name), 303)

    # helpers

    def _trajectory(self, request: Request) -> Any:
        return self._runs.of(request).open(request.path_params["name"]).shown

    def _made(self, make: Callable[[Images], Picture], run: OpenRun) -> Response:
        try:
            return _picture(make(self._images[run.key]))
        except (ImageError, WorkspaceError):
            return _picture(missing_picture(), 404)

    def refused(self, request: Request, error: Exception) -> Response:
        del request
        assert isinstance(error, HTTPException)
        heading = {404: "Not here", 403: "Not allowed", 405: "Not used here"}.get(error.status_code, "This cannot be done")
        return say(error.status_code, heading, [str(error.detail)])

    def broken(self, request: Request, error: Exception) -> Response:
        key = request.path_params.get("key", "")
        back = f"/r/{part(key)}" if key in self._runs.by_key else "/"
        missing = isinstance(error, TraceError) and "no trajectory" in str(error)
        heading = (
            "Not here" if missing else "This trajectory cannot be shown" if isinstance(error, TraceError) else "This failed"
        )
        return say(404 if missing else 422, heading, [str(error)], back=back, back_words="The run")


def _picture(picture: Picture, status: int = 200) -> Response:
    kept = {"cache-control": "private, max-age=86400, immutable" if status == 200 else "no-store"}
    return Response(picture.data, status, media_type=picture.media_type, headers=kept)


def _neighbours(entries: Sequence[Entry], name: str) -> tuple[str | None, str | None]:
    names = [entry.name for entry in entries]
    if name not in names:
        return None, names[0] if names else None
    at = names.index(name)
    return names[at - 1] if at else None, names[at + 1] if at + 1 < len(names) else None


def _agreement(run: OpenRun, entries: Sequence[Entry]) -> Any:
    outcomes: dict[str, Any] = {entry.name: entry.outcome for entry in entries if entry.outcome != "unreadable"}
    return agreement(outcomes, run.reviews)
