"""A run: many tasks, one folder, resumable.

    <out>/run.json             request, settings, versions, inputs, summary          (runfile.py)
          trajectories/        <type>-00000.json ...                                 (trace.py)
          images/              every image made, named by content
          dataset/<item>/...   the result, and manifest.jsonl beside it              (dataset.py)
          rejected/...         with keep_rejected
          report.html          contact sheet                                         (report.py)
          checkpoints.sqlite   every step of every trajectory                        (build.py)
          forks/               forks that wait for approval or were killed           (fork.py)
          reviews.jsonl, reviewed/<item>/...   what a person said, and kept          (review.py, reviewed.py)
          run.lock             held by the process that works on the run

The same request again continues an unfinished run and leaves a finished one as it is. What was finished is never made
twice; only failed tasks (tools or processes that broke) are tried again while their type lacks samples.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from anomalyagent.configs.paths import expand_home
from anomalyagent.configs.schema import Settings
from anomalyagent.errors import RunError, TraceError
from anomalyagent.graph.dataset import DatasetWriter, normals_folder, task_id
from anomalyagent.graph.events import Event, Importing, Note, Planned, Progress, TaskFinished, TaskStarted
from anomalyagent.graph.files import remove_temporaries
from anomalyagent.graph.inputs import UNLIKE, Inputs, find_normals, hash_file, import_normals
from anomalyagent.graph.names import safe_name
from anomalyagent.graph.pool import Maker, ProcessPool, SinglePool, shares_a_process
from anomalyagent.graph.report import REPORT_FILE, write_report
from anomalyagent.graph.request import Plan, Request, hold_run_folder, plan_types
from anomalyagent.graph.runfile import (
    RunFile,
    RunSummary,
    Tally,
    begin_run_file,
    digest_of_files,
    read_run_file,
    refuse_changes,
)
from anomalyagent.graph.tasks import Ledger, Slot, choose_normal, derive_seed
from anomalyagent.graph.trace import Task, Trajectory, read_trajectory
from anomalyagent.graph.worker import WorkerSetup, trajectory_path, versions
from anomalyagent.knowledge.cards import load_cards
from anomalyagent.mcp_tools.imaging.photo import read_mask

if TYPE_CHECKING:
    from anomalyagent.graph.approval import Approver

__all__ = ["Request", "synthesize"]

MOST_OUTAGES = 8
"""The run stops after this many failed tasks in a row: broken tools or processes at any time, anything at its start."""
SUMMARY_INTERVAL_S = 5.0

Status = Literal["running", "complete", "incomplete", "interrupted", "stopped"]


def synthesize(
    request: Request, settings: Settings, progress: Progress | None = None, approver: "Approver | None" = None
) -> RunSummary:
    """Make a data set, or continue making it.

    Ctrl-C (KeyboardInterrupt) stops cleanly and returns a summary whose status is `interrupted`.

    Args:
        progress: called with every event, in this thread.
        approver: asked before the calls of the tools in `request.approve`, in this thread.
    Raises:
        RunError: the request cannot be used, the folder is in use, holds another run, or cannot be written.
        ForkError: a tool to approve is unknown.
        AnomalyAgentError: tools or policy cannot be had.
    """
    if request.max_rounds is not None:
        settings = Settings.model_validate(
            {**settings.model_dump(), "limits": {**settings.limits.model_dump(), "rounds": request.max_rounds}}
        )
    tell = progress or _silent
    if request.count < 1 or request.jobs < 1:
        raise RunError(f"count and jobs are at least 1; received {request.count} and {request.jobs}.")
    if request.approve and (request.jobs > 1 or approver is None):
        raise RunError("a person can be asked by one process only. Use 1 job, at a terminal, to approve calls.")
    if request.approve:
        from anomalyagent.graph.approval import tools_to_approve  # loads LangGraph

        tools_to_approve(request.approve)
    candidates = find_normals([expand_home(path) for path in request.normals], lambda text: tell(Note("info", text)))
    plan = plan_types(request, settings, [path for _, path in candidates], tell)
    run_dir = expand_home(request.out).absolute()
    with hold_run_folder(run_dir):
        session = _Session(request, settings, plan, run_dir, candidates, tell, approver)
        return session.run()


class _Session:
    """One process's work on a run."""

    def __init__(
        self,
        request: Request,
        settings: Settings,
        plan: Plan,
        run_dir: Path,
        candidates: list[tuple[str, Path]],
        tell: Callable[[Event], None],
        approver: "Approver | None",
    ) -> None:
        self._approver = approver
        self._clock = time.monotonic()
        self._request, self._settings, self._plans, self._run_dir, self._tell = request, settings, plan.types, run_dir, tell
        self._traits = plan.traits
        self._item_folder = safe_name(request.item)
        self._file = self._open_run(candidates)
        self._earlier_s = self._file.summary.wall_seconds if self._file.summary else 0.0
        self._normals = self._file.inputs.normals
        self._sources = {normal.ref: normal.source for normal in self._normals}
        self._ledger = Ledger(plan.types, settings.limits.attempts_per_sample)
        self._tally = Tally(plan.types)
        self._outages = 0
        self._restore()
        self._writer = DatasetWriter(
            run_dir,
            self._item_folder,
            plan.types,
            self._ledger,
            self._read,
            self._sources,
            link=settings.dataset.link_images,
            keep_rejected=request.keep_rejected,
        )

    def run(self) -> RunSummary:
        """Work until the run is complete, interrupted or broken."""
        accepted = tuple(tasks.accepted for tasks in self._ledger.types)
        resumed = any(accepted) or any(tasks.started for tasks in self._ledger.types)
        self._tell(Planned(self._run_dir, self._request.item, tuple(self._plans), accepted, len(self._normals), resumed))
        self._store("running")
        status: Status = "stopped"
        try:
            self._writer.advance()
            if not all(tasks.complete for tasks in self._ledger.types):
                asyncio.run(self._work())
            short = any(tasks.given_up for tasks in self._ledger.types)
            self._report()
            status = "incomplete" if short else "complete"
        except KeyboardInterrupt:
            status = "interrupted"
        finally:
            summary = self._summarize(status)
            with contextlib.suppress(RunError):  # the disk may be full: the error that ended the run says so
                self._store(status)
        return summary

    def _open_run(self, candidates: list[tuple[str, Path]]) -> RunFile:
        old = read_run_file(self._run_dir)
        hashes = {name: hash_file(path) for name, path in candidates}
        file = begin_run_file(
            self._settings,
            self._request.item,
            self._plans,
            load_cards(self._settings.knowledge.folders),
            {"normals": hashes},
            inputs=old.inputs if old else Inputs(normals=[], skipped=[]),
            command=self._request.command,
            versions=versions(),
            traits=self._traits,
            files=digest_of_files(self._settings),
        )
        if old is not None:
            refuse_changes(old, file, hashes, self._run_dir)
            file.created_at, file.summary, file.run_id = old.created_at, old.summary, old.run_id
            for library, version in old.versions.items():
                if file.versions.get(library) != version:
                    today = file.versions.get(library)
                    text = f"{library} was {version} when this run began and is {today} now; samples may differ."
                    self._tell(Note("warning", text))
        if old is None or any(not (self._run_dir / normal.ref).is_file() for normal in old.inputs.normals):
            file.inputs = self._import(candidates)
        file.write(self._run_dir)
        return file

    def _import(self, candidates: list[tuple[str, Path]]) -> Inputs:
        def report(done: int, total: int, warning: str | None) -> None:
            if warning:
                self._tell(Note("warning", warning))
            self._tell(Importing(done, total))

        folder = normals_folder(self._item_folder)
        settings = self._settings
        zone = settings.tools.image_gen.options.get("zone_mask")
        inputs = import_normals(
            candidates,
            self._run_dir,
            folder,
            settings.limits,
            jobs=self._request.jobs,
            report=report,
            zone_shape=read_mask(expand_home(str(zone))).shape if zone else None,
        )
        for one in inputs.normals:
            if UNLIKE in one.notes:
                self._tell(Note("warning", f"{one.source}: {UNLIKE}."))
        return inputs

    def _restore(self) -> None:
        """Take over what earlier sessions finished; failed tasks only where their type needs no more."""
        folder = self._run_dir / "trajectories"
        remove_temporaries(folder)
        kinds = {plan.folder: kind for kind, plan in enumerate(self._plans)}
        failed: list[tuple[int, Trajectory]] = []
        for path in sorted(folder.glob("*.json")):
            name = re.fullmatch(r"(.+)-(\d{5,})", path.stem)
            if name is None or name[1] not in kinds:
                continue
            try:
                trajectory = read_trajectory(path)
            except TraceError as error:
                self._tell(Note("warning", f"{error} It is made anew."))
                continue
            if trajectory.run_id != self._file.run_id:
                self._tell(Note("warning", f"{path.name} belongs to another run; it is made anew."))
                continue
            kind = kinds[name[1]]
            self._ledger.types[kind].record(trajectory.task.index, trajectory.outcome)
            if trajectory.outcome == "failed":
                failed.append((kind, trajectory))
            else:
                self._tally.add(kind, trajectory)
        for tasks in self._ledger.types:
            if tasks.accepted < tasks.count:
                tasks.forget("failed")
        for kind, trajectory in failed:
            if self._ledger.types[kind].outcome(trajectory.task.index) == "failed":
                self._tally.add(kind, trajectory)
            else:
                self._tally.set_aside(trajectory)

    async def _work(self) -> None:
        setup = WorkerSetup(
            run_dir=self._run_dir,
            run_id=self._file.run_id,
            config_sha256=self._file.config_sha256,
            settings=self._settings,
            approve=self._request.approve,
        )
        jobs = self._request.jobs
        pool = (
            SinglePool(setup, self._approver, jobs)
            if jobs == 1 or shares_a_process(self._settings)
            else ProcessPool(setup, jobs, lambda text: self._tell(Note("warning", text)))
        )
        async with pool:
            await self._feed(pool)

    async def _feed(self, maker: Maker) -> None:
        running: dict[asyncio.Task[Trajectory], Slot] = {}
        stored = time.monotonic()
        try:
            while True:
                while len(running) < maker.size and not self._budget_spent and (slot := self._ledger.start_next()) is not None:
                    task = self._task(slot)
                    self._tell(TaskStarted(task.id, task.anomaly_type))
                    running[asyncio.create_task(maker.make(task))] = slot
                if not running:
                    if self._budget_spent and not all(tasks.complete for tasks in self._ledger.types):
                        most = self._settings.limits.run_cost_usd
                        raise RunError(
                            f"the budget of this run is spent: {self._tally.cost_usd:.4f} of {most:g} USD. "
                            "Raise limits.run_cost_usd and give the same command again to go on."
                        )
                    return
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    self._finish(running.pop(one), one.result())
                if time.monotonic() - stored > SUMMARY_INTERVAL_S:
                    self._store("running")
                    stored = time.monotonic()
        finally:
            for one in running:
                one.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    @property
    def _budget_spent(self) -> bool:
        most = self._settings.limits.run_cost_usd
        return most is not None and self._tally.cost_usd >= most

    def _finish(self, slot: Slot, trajectory: Trajectory) -> None:
        tasks = self._ledger.types[slot.kind]
        tasks.record(slot.index, trajectory.outcome)
        self._tally.add(slot.kind, trajectory)
        self._writer.advance()
        self._tell(TaskFinished.of(trajectory, accepted=tasks.accepted, wanted=tasks.count))
        at_start = trajectory.outcome == "failed" and not self._tally.any_worked
        self._outages = self._outages + 1 if at_start or _is_outage(trajectory) else 0
        if self._outages >= MOST_OUTAGES:
            raise RunError(
                f"{self._outages} tasks in a row failed. Mend what broke, then give the same command again: failed tasks are "
                f"tried once more. The last one said: {trajectory.reason}"
            )
        if tasks.given_up:
            brought = f"{tasks.most_tasks} tasks brought {tasks.accepted} of {tasks.count} samples"
            text = f"'{trajectory.task.anomaly_type}' is given up: {brought}."
            self._tell(Note("warning", text))

    def _task(self, slot: Slot) -> Task:
        plan, seed, item = self._plans[slot.kind], self._settings.seed, self._request.item
        normal = self._normals[choose_normal(seed, item, plan.anomaly_type, slot.index, len(self._normals))]
        return Task(
            id=task_id(plan, slot.index),
            index=slot.index,
            normal_image=normal.ref,
            normal_sha256=normal.source_sha256,
            item_name=item,
            anomaly_type=plan.anomaly_type,
            seed=derive_seed(seed, item, plan.anomaly_type, slot.index),
        )

    def _read(self, slot: Slot) -> Trajectory:
        return read_trajectory(trajectory_path(self._run_dir, task_id(self._plans[slot.kind], slot.index)))

    def _summarize(self, status: Status) -> RunSummary:
        return RunSummary(
            run_dir=str(self._run_dir),
            run_id=self._file.run_id,
            item=self._request.item,
            status=status,
            **self._tally.totals(),
            wall_seconds=self._earlier_s + time.monotonic() - self._clock,
            types=self._tally.types([tasks.given_up for tasks in self._ledger.types]),
            skipped_normals=len(self._file.inputs.skipped),
            dataset=f"dataset/{self._item_folder}",
            report=REPORT_FILE if (self._run_dir / REPORT_FILE).is_file() else None,
        )

    def _store(self, status: Status) -> None:
        self._file.summary = self._summarize(status)
        self._file.write(self._run_dir)

    def _report(self) -> None:
        self._file.summary = self._summarize(
            "incomplete" if any(tasks.given_up for tasks in self._ledger.types) else "complete"
        )
        accepted = [
            [Slot(kind, index) for index in range(tasks.started) if tasks.outcome(index) == "accepted"]
            for kind, tasks in enumerate(self._ledger.types)
        ]
        write_report(self._run_dir, self._file, accepted, self._read)


_OUTAGES = ("crashed:", "timeout:", "bad_result:", "outage:")


def _is_outage(trajectory: Trajectory) -> bool:
    """Failed because something broke, not because the task was hard."""
    if trajectory.outcome != "failed":
        return False
    last = trajectory.turns[-1].observation if trajectory.turns else None
    return not trajectory.turns or (last is not None and (last.error or "").startswith(_OUTAGES))


def _silent(event: Event) -> None:
    del event
