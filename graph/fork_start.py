"""Where a fork starts: the turns that it takes over, what is different in its first one, and the checkpoints that hold that."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, cast

from langgraph.checkpoint.base import BaseCheckpointSaver

from anomalyagent.configs.schema import Settings
from anomalyagent.errors import ForkError, TraceError
from anomalyagent.graph.build import Graph, thread_config
from anomalyagent.graph.changes import changes_between
from anomalyagent.graph.edits import Edited, edit_call, edit_turn
from anomalyagent.graph.progress import View
from anomalyagent.graph.rules import check
from anomalyagent.graph.runfile import FREE_SETTINGS, read_run_file
from anomalyagent.graph.state import GraphState
from anomalyagent.graph.trace import Edit, ImageEntry, ToolCall, Trajectory, Turn

__all__ = ["Start", "settings_of", "start_at", "write_start"]


class Start(NamedTuple):
    """What a fork starts from.

    Attributes:
        turns, images: taken over.
        kept: edits of the parent that belong to what is taken over.
        edits: what is different from the parent from here on.
        update: what the first node is taken to have returned; None: the agent decides anew.
        node: the name of that node.
    """

    turns: list[Turn]
    images: list[ImageEntry]
    kept: list[Edit]
    edits: list[Edit]
    update: GraphState | None
    node: str


def settings_of(run_dir: Path, trajectory: Trajectory) -> Settings:
    """The settings that a trajectory was made with: the run's, and what was changed for a fork.

    Raises:
        TraceError: the run's settings are gone or damaged.
    """
    run = read_run_file(run_dir)
    if run is None:
        raise TraceError(f"{run_dir} has no run.json, so the settings of its trajectories are not known. Restore it.")
    tree = run.settings.model_dump(mode="json")
    try:
        for edit in trajectory.edits:
            if edit.path.startswith("settings."):
                _, *parents, last = edit.path.split(".")
                here = tree
                for part in parents:
                    here = here[part]
                here[last] = json.loads(edit.after) if last == "options" else edit.after
        return Settings.model_validate(tree)
    except (LookupError, TypeError, ValueError) as error:
        raise TraceError(f"the settings that {trajectory.id!r} was made with cannot be read: {error}.") from error


def start_at(
    run_dir: Path, parent: Trajectory, at: int, changes: Mapping[str, Any], settings: Settings, *, same_call: bool
) -> Start:
    """What a fork of `parent` at turn `at` starts from; the other arguments are those of `Forker.fork`.

    Args:
        settings: those of the fork.
    Raises:
        ForkError: there is no such turn, or the changes do not fit it.
        TraceError: the settings of the parent are gone or damaged.
    """
    start = _begin(parent, at, changes, settings, same_call=same_call)
    before = settings_of(run_dir, parent.model_copy(update={"edits": start.kept}))
    other = changes_between(_leaves(before), _leaves(settings))
    edits = [*start.edits, *(Edit(turn=at, path=one.path, before=one.before, after=one.after) for one in other)]
    return start._replace(edits=edits)


def _begin(parent: Trajectory, at: int, changes: Mapping[str, Any], settings: Settings, *, same_call: bool) -> Start:
    length = len(parent.turns)
    if not 0 <= at <= length:
        raise ForkError(f"{parent.id} has the turns 0 to {length - 1}; received {at}.")
    turns = parent.turns[:at]
    made = {image.number for turn in turns if turn.observation for image in turn.observation.images}
    images = [image for image in parent.images if image.role == "normal" or image.number in made]
    start = Start(turns, images, _kept_edits(parent, at), [], None, "agent")
    if not changes and not same_call:
        if turns and turns[-1].legal and turns[-1].action.kind == "answer":
            raise ForkError(f"{parent.id} ended with the answer of turn {at - 1}: fork at a turn before it.")
        return start
    if at == length:
        raise ForkError(f"{parent.id} has no turn {at} to change; its last one is {length - 1}.")
    turn = parent.turns[at]
    if same_call and changes:
        raise ForkError("either the call of the turn is made again as it was, or something in it is changed: not both.")
    edited = edit_call(parent.task, turn, {}) if same_call else edit_turn(parent.task, turn, changes)
    if not edited.again:
        assert isinstance(turn.action, ToolCall)
        return _exchanged(start, edited, turn.action.name)
    action = edited.turn.action
    problem = check(View(parent.task, turns, images, settings.limits.rounds), action)
    if problem:
        raise ForkError(f"turn {at} cannot be so: {problem}")
    fresh = {"legal": True, "seconds": 0.0, "cost_usd": 0.0, "tokens": 0, "retries": 0, "started_at": _clock()}
    record = edited.turn.model_copy(update=fresh).model_dump(mode="json")
    update: GraphState = {"pending": record} if isinstance(action, ToolCall) else {"turns": [record]}
    return start._replace(edits=edited.edits, update=update)


def _exchanged(start: Start, edited: Edited, node: str) -> Start:
    observation = edited.turn.observation
    images = observation.images if observation else []
    update: GraphState = {
        "turns": [edited.turn.model_dump(mode="json")],
        "images": [image.model_dump(mode="json") for image in images],
        "pending": None,
    }
    return start._replace(edits=edited.edits, update=update, node=node)


async def write_start(graph: Graph, thread: Any, parent: Trajectory, start: Start) -> None:
    """Give a fork's thread, a config of `thread_config`, the state that it starts from; what it held before is gone."""
    saver, fork_id = _saver(graph), thread["configurable"]["thread_id"]
    await saver.adelete_thread(fork_id)
    if not await _copy_checkpoints(graph, parent, fork_id, start):
        whole: GraphState = {
            "task": parent.task.model_dump(mode="json"),
            "turns": [turn.model_dump(mode="json") for turn in start.turns],
            "images": [image.model_dump(mode="json") for image in start.images],
            "pending": None,
            "stop": None,
        }
        await graph.aupdate_state(thread, whole, as_node="__start__")
    known = cast("GraphState", (await graph.aget_state(thread)).values).get("edits", [])
    edits = [edit.model_dump(mode="json") for edit in [*start.kept, *start.edits]]
    told: GraphState = {"edits": [edit for edit in edits if edit not in known]}
    if start.update is not None:
        await graph.aupdate_state(thread, {**start.update, **told}, as_node=start.node)
    elif told.get("edits"):
        await graph.aupdate_state(thread, told, as_node="__start__")


async def _copy_checkpoints(graph: Graph, parent: Trajectory, fork_id: str, start: Start) -> bool:
    """Copy the parent's checkpoints up to the one at which the agent was about to decide turn `at`.

    Returns:
        False when there is none that says what the trajectory's file says.
    """
    saver = _saver(graph)
    turns = [turn.model_dump(mode="json") for turn in start.turns]
    images = [image.model_dump(mode="json") for image in start.images]
    last = None
    async for snapshot in graph.aget_state_history(thread_config(parent.id, 1)):
        values = snapshot.values
        same = (
            values.get("turns") == turns and values.get("images") == images and values.get("task") == parent.task.model_dump()
        )
        if snapshot.next == ("agent",) and same:
            last = snapshot.config
            break
    chain: list[Any] = []
    while last is not None:
        found = await saver.aget_tuple(last)
        if found is None:
            break
        chain.append(found)
        last = found.parent_config
    for found in reversed(chain):
        inside = {"thread_id": fork_id, "checkpoint_ns": ""}
        if found.parent_config:
            inside["checkpoint_id"] = found.parent_config["configurable"]["checkpoint_id"]
        # the versions of its channels are in the checkpoint; its writes are left out, so that the next node runs anew
        await saver.aput({"configurable": inside}, found.checkpoint, found.metadata, {})
    return bool(chain)


def _kept_edits(parent: Trajectory, at: int) -> list[Edit]:
    """The edits that a fork at a turn takes over with the turns before it."""
    return [edit for edit in parent.edits if edit.turn < at or (edit.turn == at and edit.path.startswith("settings."))]


def _leaves(settings: Settings) -> dict[str, Any]:
    """Settings that shape a result, by path; the options of a backend or policy are one value."""
    flat: dict[str, Any] = {}

    def walk(tree: Mapping[str, Any], prefix: str) -> None:
        for key, value in tree.items():
            path = f"{prefix}.{key}"
            if isinstance(value, dict) and key != "options":
                walk(cast("dict[str, Any]", value), path)
            elif path.removeprefix("settings.") not in FREE_SETTINGS:
                flat[path] = json.dumps(value) if key == "options" else value

    walk(settings.model_dump(mode="json"), "settings")
    return flat


def _saver(graph: Graph) -> BaseCheckpointSaver[str]:
    assert isinstance(graph.checkpointer, BaseCheckpointSaver)
    return cast("BaseCheckpointSaver[str]", graph.checkpointer)


def _clock() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
