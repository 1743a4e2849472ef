"""How a run's events are shown: bars with rate and time left on a terminal, plain lines in a pipe, records for machines."""

from collections.abc import Callable
from dataclasses import asdict
from time import monotonic
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from anomalyagent.cli.options import counted
from anomalyagent.graph.events import Event, Importing, Note, Planned, TaskFinished, TaskStarted

__all__ = ["Bars", "Lines", "as_record"]


def as_record(event: Event) -> dict[str, Any]:
    """The event as one JSON object with an `event` name."""
    record = {key: str(value) if key == "run_dir" else value for key, value in asdict(event).items()}
    return {"event": _snake(type(event).__name__), **record}


class Lines:
    """One plain line for each finished task and each note."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._begun = monotonic()
        self._made = 0

    def __call__(self, event: Event) -> None:
        match event:
            case Planned():
                wanted = ", ".join(f"{plan.count} x {plan.anomaly_type}" for plan in event.plans)
                verb = "resuming" if event.resumed else "making"
                self._write(f"{verb} {wanted} on {event.normals} photos of '{event.item}' in {event.run_dir}")
            case TaskFinished():
                self._made += event.outcome == "accepted"
                rate = self._made / max(monotonic() - self._begun, 1e-6)
                score = "-" if event.score is None else f"{event.score:.1f}"
                why = "" if event.outcome == "accepted" else f": {event.reason}"
                self._write(
                    f"{event.task} {event.outcome}, score {score}, {counted(event.rounds, 'round')}, {event.seconds:.2f} s "
                    f"[{event.accepted}/{event.wanted}, {rate:.1f}/s]{why}"
                )
            case Note():
                self._write(f"{event.level}: {event.text}")
            case Importing() if event.done == event.total:
                self._write(f"looked at {event.total} photos")
            case Importing() | TaskStarted():
                pass


class Bars:
    """One live bar for each anomaly type, with rate and time left."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),  # an anomaly type may have brackets
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[info]}", style="dim"),
            TimeRemainingColumn(),
            console=Console(markup=False),
        )
        self._rows: dict[str, TaskID] = {}
        self._rejected: dict[str, int] = {}
        self._begun = monotonic()
        self._imports: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        match event:
            case Importing():
                if self._imports is None:
                    self._imports = self._progress.add_task("importing photos", total=event.total, info="")
                self._progress.update(self._imports, completed=event.done)
            case Planned():
                for plan, done in zip(event.plans, event.accepted, strict=True):
                    row = self._progress.add_task(plan.anomaly_type, total=plan.count, completed=done, info="", start=False)
                    self._rows[plan.anomaly_type] = row
            case TaskStarted():
                self._progress.start_task(self._rows[event.anomaly_type])
            case TaskFinished():
                self._finish(event)
            case Note():
                style = "yellow" if event.level == "warning" else "dim"
                self._progress.console.print(event.text, style=style, highlight=False)

    def _finish(self, event: TaskFinished) -> None:
        row = self._rows[event.anomaly_type]
        if event.outcome != "accepted":
            self._rejected[event.anomaly_type] = self._rejected.get(event.anomaly_type, 0) + 1
        speed = self._progress.tasks[row].speed
        rejected = self._rejected.get(event.anomaly_type, 0)
        info = " ".join(filter(None, [f"{speed:.1f}/s" if speed else "", f"{rejected} rejected" if rejected else ""]))
        self._progress.update(row, completed=event.accepted, info=info)


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
