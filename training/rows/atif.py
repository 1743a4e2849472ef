"""Trajectories in ATIF, Harbor's Agent Trajectory Interchange Format, and back without loss.

    {"schema_version": "ATIF-v1.7", "session_id": run, "trajectory_id": id, "agent": {}, "steps": [], "final_metrics": {}}
    steps: 1 system (tools and format), 2 user (the task, the normal image), then one agent step a turn with its observation

What ATIF has no field for is in `extra`. Images are files beside the JSON, named by content. Source: Harbor RFC 0001,
version 1.7; what is written passes the models of Harbor 0.26.
"""

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from anomalyagent.errors import TraceError
from anomalyagent.graph.observations import describe_task
from anomalyagent.graph.trace import ImageEntry, Malformed, ToolCall, Trajectory, Turn
from anomalyagent.graph.wire import TOOLS, system_text, tools_digest, write_turn

__all__ = ["ATIF_VERSION", "from_atif", "to_atif"]

ATIF_VERSION = "ATIF-v1.7"


def to_atif(trajectory: Trajectory, max_rounds: int, path_of: Callable[[ImageEntry], str]) -> dict[str, Any]:
    """One trajectory as an ATIF document.

    Args:
        max_rounds: the run's `limits.rounds`, as the task tells them.
        path_of: where an image lies beside the document.
    """
    task = _content(describe_task(trajectory.task, max_rounds), trajectory.images[:1], path_of)
    steps: list[dict[str, Any]] = [
        {"step_id": 1, "source": "system", "message": system_text()},
        {"step_id": 2, "source": "user", "message": task},
    ]
    steps += [_step(turn, turn.index + 3, path_of) for turn in trajectory.turns]
    about = trajectory.model_dump(mode="json", exclude={"turns"})
    return {
        "schema_version": ATIF_VERSION,
        "session_id": trajectory.run_id,
        "trajectory_id": trajectory.id,
        "agent": {
            "name": "anomalyagent",
            "version": trajectory.versions.get("anomalyagent", "unknown"),
            "model_name": trajectory.policy,
            "tool_definitions": list(TOOLS),
            "extra": {"tools_sha256": tools_digest()},
        },
        "steps": steps,
        "notes": f"{trajectory.outcome}: {trajectory.reason}",
        "final_metrics": {"total_cost_usd": trajectory.cost_usd, "total_steps": len(steps)},
        "extra": {"max_rounds": max_rounds, "trajectory": about},
    }


def from_atif(document: dict[str, Any]) -> Trajectory:
    """The trajectory that `to_atif` wrote.

    Raises:
        TraceError: it is another version, or no document of ours.
    """
    if document.get("schema_version") != ATIF_VERSION:
        raise TraceError(
            f"this is ATIF version {document.get('schema_version')!r}; this program reads {ATIF_VERSION!r}. Export it anew."
        )
    try:
        about = document["extra"]["trajectory"]
        turns = [_turn(step) for step in document["steps"] if step["source"] == "agent"]
        return Trajectory.model_validate({**about, "turns": turns})
    except (KeyError, TypeError, ValidationError) as error:
        raise TraceError(
            f"the ATIF document is none of anomalyagent's, or was edited ({type(error).__name__}: {error}). "
            "Only what `traces export --format atif` wrote can be read back."
        ) from error


def _step(turn: Turn, number: int, path_of: Callable[[ImageEntry], str]) -> dict[str, Any]:
    action = turn.action
    call_id = f"call-{turn.index + 1}"
    step: dict[str, Any] = {"step_id": number, "timestamp": turn.started_at, "source": "agent", "message": ""}
    if isinstance(action, ToolCall):
        step["reasoning_content"] = turn.thought
        step["tool_calls"] = [{"tool_call_id": call_id, "function_name": action.name, "arguments": action.arguments}]
    elif isinstance(action, Malformed):
        step["message"] = action.raw
    else:
        step["reasoning_content"] = turn.thought
        step["message"] = write_turn("", action).partition("</thinking>\n")[2]
    if turn.observation is not None:
        result: dict[str, Any] = {"content": _content(turn.observation.text, turn.observation.images, path_of)}
        if isinstance(action, ToolCall):
            result = {"source_call_id": call_id, **result}
        step["observation"] = {"results": [result]}
    step["metrics"] = {"cost_usd": turn.cost_usd, "extra": {"seconds": turn.seconds}}
    kept = turn.model_dump(mode="json")
    if isinstance(action, ToolCall):
        kept["action"] = {"kind": "tool_call"}
    if kept["observation"] is not None:
        del kept["observation"]["text"]
    step["extra"] = {"turn": kept}
    return step


def _turn(step: dict[str, Any]) -> dict[str, Any]:
    turn: dict[str, Any] = dict(step["extra"]["turn"])
    if turn["action"]["kind"] == "tool_call":
        call = step["tool_calls"][0]
        turn["action"] = {"kind": "tool_call", "name": call["function_name"], "arguments": call["arguments"]}
    if turn["observation"] is not None:
        content = step["observation"]["results"][0]["content"]
        text = content if isinstance(content, str) else next(part["text"] for part in content if part["type"] == "text")
        turn["observation"] = {**turn["observation"], "text": text}
    return turn


def _content(text: str, images: "list[ImageEntry]", path_of: Callable[[ImageEntry], str]) -> str | list[dict[str, Any]]:
    if not images:
        return text
    shown = [{"type": "image", "source": {"media_type": "image/png", "path": path_of(entry)}} for entry in images]
    return [*shown, {"type": "text", "text": text}]
