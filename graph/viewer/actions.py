"""Routes that change something in a run: forks, replays, and calls that wait for approval. Closed unless forks are allowed."""

from typing import Any

import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from anomalyagent.errors import ForkError
from anomalyagent.graph.approval import Pause
from anomalyagent.graph.fork import Forker
from anomalyagent.graph.fork_records import ForkRecord, read_forks
from anomalyagent.graph.fork_start import settings_of
from anomalyagent.graph.policies import POLICIES
from anomalyagent.graph.trace import Trajectory, Turn
from anomalyagent.graph.viewer.drawing import step_name
from anomalyagent.graph.viewer.jobs import Jobs, chosen_settings, fields_of, read_changes, ruling_of
from anomalyagent.graph.viewer.listing import Query
from anomalyagent.graph.viewer.pages import ServerLinks, part
from anomalyagent.graph.viewer.runs import OpenRun, OpenRuns
from anomalyagent.graph.viewer.web import page, read_form
from anomalyagent.knowledge.spec import MECHANISMS, ZONES
from anomalyagent.mcp_tools.contracts import TOOL_NAMES
from anomalyagent.mcp_tools.registry import known_backends

__all__ = ["Actions"]


class Actions:
    """The routes, and the forks that they began."""

    def __init__(self, runs: OpenRuns, *, allowed: bool, trust: bool = False) -> None:
        self._runs = runs
        self._allowed = allowed
        self._jobs = Jobs(trust=trust)

    def routes(self) -> list[Route]:
        """For the application."""
        one = "/r/{key}/t/{name}"
        return [
            Route(f"{one}/fork", self.fork_form),
            Route(f"{one}/fork", self.fork, methods=["POST"]),
            Route(f"{one}/replay", self.fork_form),
            Route("/r/{key}/jobs/{number:int}", self.job),
            Route("/r/{key}/forks", self.forks),
            Route("/r/{key}/forks/{fork}", self.pause),
            Route("/r/{key}/forks/{fork}", self.rule, methods=["POST"]),
        ]

    def fork_form(self, request: Request) -> Response:
        """What is to be done otherwise."""
        self._require()
        run, name = self._runs.of(request), request.path_params["name"]
        replay = request.url.path.endswith("/replay")
        given = request.query_params.get("at", "")
        trajectory = run.open(name).whole
        default = 0 if replay else next((turn.index for turn in trajectory.turns if step_name(turn) == "image_gen"), 0)
        at = int(given) if given.isdecimal() and len(given) < 7 else default
        return self._fork_page(run, name, trajectory, at, replay=replay)

    async def fork(self, request: Request) -> Response:
        """Begin a fork or a replay."""
        self._require()
        run, name = self._runs.of(request), request.path_params["name"]
        form = await read_form(request)
        trajectory = await anyio.to_thread.run_sync(lambda: run.open(name).whole)
        at = int(form["at"]) if form.get("at", "").isdecimal() and len(form["at"]) < 7 else -1
        mode = form.get("mode", "change")
        try:
            if not 0 <= at < len(trajectory.turns):
                raise ForkError(f"{name} has no turn {at}.")
            changes = read_changes(trajectory.turns[at], form) if mode == "change" else {}
            if mode == "change" and not changes:
                raise ForkError("Nothing was changed. Change something, or choose what else to do with this turn.")
            settings = chosen_settings(run.run_dir, trajectory, form)
        except ForkError as error:
            return self._fork_page(run, name, trajectory, max(0, at), problem=str(error), form=form, mode=mode)
        approve = [tool for tool in TOOL_NAMES if form.get(f"approve:{tool}")]

        async def work(forker: Forker) -> Trajectory | Pause:
            return await forker.fork(name, at, changes, same_call=mode == "same", settings=settings, approve=approve)

        words = f"Replay of {name} from turn {at}" if mode == "anew" else f"Fork of {name} at turn {at}"
        job = self._jobs.start(run.run_dir, run.key, name, words, work)
        return RedirectResponse(f"/r/{part(run.key)}/jobs/{job.id}", 303)

    def job(self, request: Request) -> Response:
        """How a fork comes along; leads to what it brought."""
        self._require()
        run = self._runs.of(request)
        job = self._jobs.get(request.path_params["number"])
        if job is None or job.run_key != run.key:
            raise HTTPException(404, "There is no such fork any more. The run's page shows what was made.")
        here = f"/r/{part(run.key)}"
        links = ServerLinks(run, Query())
        state = job.state
        target = {"done": links.story(job.made) if job.made else here, "waiting": f"{here}/forks/{part(job.made)}"}.get(state)
        if target is None:
            return page(
                "job.html.j2", title=job.words, run=run, here=here, links=links, job=job, state=state, step_name=step_name
            )
        if "hx-request" in request.headers:
            return Response(headers={"HX-Redirect": target})
        return RedirectResponse(target, 303)

    def forks(self, request: Request) -> Response:
        """Forks that are under way, wherever they were begun."""
        self._require()
        run = self._runs.of(request)
        here = f"/r/{part(run.key)}"
        return page("forks.html.j2", title="Forks", run=run, here=here, forks=read_forks(run.run_dir), step_name=step_name)

    def pause(self, request: Request) -> Response:
        """A call that waits."""
        self._require()
        run = self._runs.of(request)
        return self._pause_page(run, _record(run, request.path_params["fork"]))

    async def rule(self, request: Request) -> Response:
        """Approve, change, reject or discard it."""
        self._require()
        run, name = self._runs.of(request), request.path_params["fork"]
        form = await read_form(request)
        record = _record(run, name)
        kind = form.get("ruling", "")
        here = f"/r/{part(run.key)}"
        if kind == "resume":
            job = self._jobs.start(
                run.run_dir, run.key, record.parent_id, f"{name} goes on", lambda forker: forker.resume(name)
            )
            return RedirectResponse(f"{here}/jobs/{job.id}", 303)
        if kind == "discard":
            async with Forker(run.run_dir) as forker:
                await forker.discard(name)
            return RedirectResponse(f"{here}/forks", 303)
        if record.waiting is None:
            raise ForkError(f"{name} waits for nobody.")
        turn = record.waiting.index
        if form.get("turn", str(turn)) != str(turn):  # the page was of another call, which somebody has answered since
            raise ForkError(f"{name} went on meanwhile: another call waits now. Look at it before you decide.")
        try:
            ruling = ruling_of(record.waiting, form)
        except ForkError as error:
            return self._pause_page(run, record, str(error), form)
        job = self._jobs.start(
            run.run_dir, run.key, record.parent_id, f"{name} goes on", lambda forker: forker.rule(name, ruling, turn)
        )
        return RedirectResponse(f"{here}/jobs/{job.id}", 303)

    def _require(self) -> None:
        if not self._allowed:
            raise HTTPException(403, "This viewer only reads. Start it with --allow-fork to fork, replay and approve.")

    def _fork_page(
        self,
        run: OpenRun,
        name: str,
        trajectory: Trajectory,
        at: int,
        *,
        replay: bool = False,
        problem: str = "",
        form: dict[str, str] | None = None,
        mode: str = "change",
    ) -> Response:
        if not trajectory.turns:
            raise ForkError(f"{name} has no turn to fork at.")
        at = min(at, len(trajectory.turns) - 1)
        turn = trajectory.turns[at]
        return page(
            "fork.html.j2",
            422 if problem else 200,
            title=f"{'Replay' if replay else 'Fork'} {name}",
            run=run,
            here=f"/r/{part(run.key)}",
            links=ServerLinks(run, Query()),
            name=name,
            turns=trajectory.turns,
            turn=turn,
            at=at,
            replay=replay,
            mode=mode,
            problem=problem,
            policies=list(POLICIES),
            backends={tool: list(known_backends(tool)) for tool in TOOL_NAMES},
            settings=settings_of(run.run_dir, trajectory),
            step_name=step_name,
            **_form_parts(turn, form),
        )

    def _pause_page(
        self, run: OpenRun, record: ForkRecord, problem: str | None = None, form: dict[str, str] | None = None
    ) -> Response:
        if record.waiting is None:
            raise ForkError(f"{record.id} waits for nobody: a process works on it, or was killed while it did.")
        return page(
            "pause.html.j2",
            title=f"{record.id} waits",
            run=run,
            here=f"/r/{part(run.key)}",
            links=ServerLinks(run, Query()),
            record=record,
            turn=record.waiting,
            problem=problem or record.problem,
            step_name=step_name,
            **_form_parts(record.waiting, form),
        )


def _form_parts(turn: Turn, form: dict[str, str] | None) -> dict[str, Any]:
    return {"fields": fields_of(turn), "form": form or {}, "mechanisms": MECHANISMS, "zones": ZONES}


def _record(run: OpenRun, name: str) -> ForkRecord:
    found = next((record for record in read_forks(run.run_dir) if record.id == name), None)
    if found is None:
        raise HTTPException(404, f"No fork of that name is under way: {name[:200]}.")
    return found
