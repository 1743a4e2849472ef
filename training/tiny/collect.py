"""The teacher's practice trajectories, collected once and kept: one JSON line each, resumable.

<out>/practice.jsonl     {"identity": ...} first, then {"index": i, "outcome": ..., "rounds": n, "messages": [...]}
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from anomalyagent.errors import TraceError
from anomalyagent.graph.files import write_atomically
from anomalyagent.graph.trace import SCHEMA_VERSION, Trajectory
from anomalyagent.graph.wire import Message, converse, tools_digest
from anomalyagent.knowledge.cards import load_cards
from anomalyagent.training.conversation import view_of
from anomalyagent.training.environment import Environment, play
from anomalyagent.training.practice import Practice
from anomalyagent.training.settings import TrainSettings
from anomalyagent.training.tiny.teacher import TeacherPolicy

__all__ = ["collect", "make_practice", "read_rows"]

BATCH = 25
_MOST_TOLD = 120  # characters of a value in a message


def make_practice(settings: TrainSettings) -> Practice:
    """The tasks of a training; folders are relative to the working folder."""
    cards = load_cards(settings.tools().knowledge.folders)
    return Practice(settings.practice, cards, Path(), settings.seed)


async def collect(settings: TrainSettings, out: Path, tell: Callable[[str], None]) -> Path:
    """Let the teacher play until there are enough trajectories.

    Raises:
        TraceError: the file is of another training, other tools or another trace version.
    """
    path = out / "practice.jsonl"
    practice = make_practice(settings)
    identity = _identity(settings, practice)
    out.mkdir(parents=True, exist_ok=True)
    done = len(_checked(path, identity)) if path.is_file() else 0
    if not path.is_file():
        write_atomically(path, (json.dumps({"identity": identity}) + "\n").encode("utf-8"))
    teacher = TeacherPolicy({"explore": settings.sft.explore})
    async with Environment(settings.tools(), out / "room") as room:
        while done < settings.sft.trajectories:
            count = min(BATCH, settings.sft.trajectories - done)
            played = await play(room, teacher, [practice.task(index, room) for index in range(done, done + count)])
            with path.open("a", encoding="utf-8") as file:
                for trajectory in played:
                    file.write(json.dumps(_row(trajectory, settings), ensure_ascii=False) + "\n")
            room.forget_images()
            done += count
            if done % 200 < BATCH:
                tell(f"practice {done} of {settings.sft.trajectories}")
    return path


def read_rows(path: Path, settings: TrainSettings) -> list[list[Message]]:
    """The conversations to imitate: those in which nothing failed.

    Raises:
        TraceError: see `collect`.
    """
    rows = _checked(path, _identity(settings, make_practice(settings)))[: settings.sft.trajectories]
    return [
        [Message(message["role"], message["text"]) for message in row["messages"]] for row in rows if row["outcome"] != "failed"
    ]


def _row(trajectory: Trajectory, settings: TrainSettings) -> dict[str, Any]:
    view = view_of(trajectory, settings.tools().limits.rounds)
    messages = [{"role": one.role, "text": one.text} for one in converse(view, system=False)]
    return {
        "index": trajectory.task.index,
        "outcome": trajectory.outcome,
        "rounds": trajectory.rounds,
        "score": trajectory.score,
        "messages": messages,
    }


def _identity(settings: TrainSettings, practice: Practice) -> dict[str, Any]:
    return {
        "trace_version": SCHEMA_VERSION,
        "tools": tools_digest(),
        "practice": practice.identity,
        "tasks": settings.practice.model_dump(mode="json"),
        "seed": settings.seed,
        "explore": settings.sft.explore,
        "settings": settings.settings,
    }


def _checked(path: Path, identity: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of the file; what was cut off at its end is removed from it."""
    lines = path.read_bytes().splitlines(keepends=True)
    rows: list[dict[str, Any]] = []
    whole = 0
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            break
        if not line.endswith(b"\n"):  # whole but for its end: the next row would come into the same line
            break
        rows.append(row)
        whole += 1
    if whole < len(lines):
        write_atomically(path, b"".join(lines[:whole]))
    known = rows[0].get("identity") if rows else None
    if not isinstance(known, dict):
        raise TraceError(f"{path} does not begin with what it was collected for. Delete it; it is collected anew.")
    for key, value in json.loads(json.dumps(identity)).items():
        if known.get(key) != value:
            where, then, now = _first_difference(key, known.get(key), value)
            raise TraceError(
                f"{path} was collected for another training: {where} was {_short(then)} and is {_short(now)} now. "
                "Give another --out, or delete the file to collect it anew."
            )
    return rows[1:]


def _first_difference(name: str, then: Any, now: Any) -> tuple[str, Any, Any]:
    """Where two values of an identity differ first, with dots between the keys."""
    if isinstance(then, dict) and isinstance(now, dict):
        old, new = cast("dict[str, Any]", then), cast("dict[str, Any]", now)
        key = next(key for key in {**new, **old} if old.get(key) != new.get(key) or (key in old) != (key in new))
        return _first_difference(f"{name}.{key}", old.get(key), new.get(key))
    return name, then, now


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_TOLD else f"{text[:_MOST_TOLD]}..."
