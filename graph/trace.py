"""Trajectory: everything that happened to one Task, readable without this package.

    <run>/trajectories/<id>.json     one JSON object, this schema; images by reference into the run folder + sha256

Version 1. A reader refuses other versions (`TraceError`) instead of guessing.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from anomalyagent.configs.faults import first_fault
from anomalyagent.errors import TraceError
from anomalyagent.graph.files import write_atomically

__all__ = [
    "SCHEMA_VERSION",
    "Action",
    "Answer",
    "Edit",
    "ImageEntry",
    "Malformed",
    "Observation",
    "Outcome",
    "Task",
    "ToolCall",
    "Trajectory",
    "Turn",
    "final_verdict",
    "read_trajectory",
    "write_trajectory",
]

SCHEMA_VERSION = 1
MOST_BYTES = 512 * 2**20
"""Larger files are refused before they fill the memory."""

Outcome = Literal["accepted", "rejected", "failed"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Task(_Record):
    """What is to be made."""

    id: str = Field(description="Unique in the run, e.g. `scratch-00007`; also its trajectory's id, while a fork has its own.")
    index: int = Field(description="Number of the task among those of its anomaly type, from 0.")
    normal_image: str = Field(description="Reference of the normal image in the run folder.")
    normal_sha256: str = Field(description="Of the file the image was imported from.")
    item_name: str
    anomaly_type: str = Field(description="Verbatim, as the user gave it.")
    seed: int


class ToolCall(_Record):
    """The agent calls a tool. Images are given by their number in the conversation, from 1 = the normal image."""

    kind: Literal["tool_call"] = "tool_call"
    name: str
    arguments: dict[str, Any]


class Answer(_Record):
    """The agent ends the episode."""

    kind: Literal["answer"] = "answer"
    status: Literal["success", "failure"]
    final_image_index: int | None
    mask_generated: bool
    synthesis_logic: str


class Malformed(_Record):
    """The agent's text could not be read as a turn."""

    kind: Literal["malformed"] = "malformed"
    raw: str
    problem: str


Action = ToolCall | Answer | Malformed


class ImageEntry(_Record):
    """One image of the conversation."""

    number: int
    role: Literal["normal", "anomaly", "mask"]
    ref: str
    sha256: str


class Observation(_Record):
    """What came back: the text that the agent reads, and the tool's structured result."""

    text: str
    structured: dict[str, Any] | None = None
    images: list[ImageEntry] = Field(default_factory=list[ImageEntry])
    error: str | None = Field(
        default=None, description="Set when the call failed or was illegal; the text says why to the agent."
    )


class Turn(_Record):
    """One step of the agent and its consequence."""

    index: int
    thought: str
    action: ToolCall | Answer | Malformed = Field(discriminator="kind")
    legal: bool
    observation: Observation | None = None
    started_at: str = Field(description="UTC, ISO 8601.")
    seconds: float
    cost_usd: float = Field(default=0.0, description="Of the policy and of the tool, failed calls included.")
    tokens: int = Field(default=0, description="Of hosted models, likewise.")
    retries: int = 0


class Edit(_Record):
    """Something that a person changed by hand: in a fork, or when asked for approval."""

    turn: int = Field(description="Index of the turn; of settings, the first turn that was made with them.")
    path: str = Field(
        description="What: `spec.severity`, `score`, `settings.policy.name`, ...; `rejected`: no call, `after` says why."
    )
    before: Any = None
    after: Any = None


class Trajectory(_Record):
    """A Task and its Turns."""

    schema_version: Literal[1] = SCHEMA_VERSION
    id: str
    run_id: str
    task: Task
    policy: str
    turns: list[Turn]
    images: list[ImageEntry]
    outcome: Outcome
    reason: str = Field(description="Why it ended so, one sentence.")
    final_image: str | None = None
    mask: str | None = None
    location_score: float | None = None
    quality_score: float | None = None
    score: float | None = None
    rounds: int = Field(description="Number of image_gen results.")
    seconds: float
    cost_usd: float = Field(description="Of all turns, and of earlier sessions in which this task came to nothing.")
    tokens: int = Field(default=0, description="Of hosted models, likewise.")
    config_sha256: str
    versions: dict[str, str] = Field(description="anomalyagent, python and the libraries that shape the result.")
    parent_id: str | None = Field(default=None, description="Trajectory this one was forked from.")
    forked_at: int | None = Field(default=None, description="Number of turns that were taken over from it, unchanged.")
    edits: list[Edit] = Field(default_factory=list[Edit], description="What a person changed, turn by turn.")


def final_verdict(trajectory: Trajectory) -> Mapping[str, Any]:
    """What quality_eval said of the final image, where there is one; else of the last judged one. Empty: nothing was judged."""
    final = [image.number for image in trajectory.images if trajectory.final_image in (None, image.ref)]
    for turn in reversed(trajectory.turns):
        if isinstance(turn.action, ToolCall) and turn.action.name == "quality_eval" and turn.observation:
            judged = turn.action.arguments.get("anomaly_image") in final
            if judged and turn.observation.structured:
                return turn.observation.structured
    return {}


def write_trajectory(trajectory: Trajectory, path: Path) -> None:
    """Write one trajectory as readable JSON, atomically.

    Raises:
        RunError: the file cannot be written.
    """
    text = json.dumps(trajectory.model_dump(mode="json"), ensure_ascii=False, indent=1)
    write_atomically(path, (text + "\n").encode("utf-8"))


def read_trajectory(path: Path) -> Trajectory:
    """Read one trajectory.

    Raises:
        TraceError: the file is missing, cut off, no trajectory, or of a version that this program does not know.
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise TraceError(f"{path} has {size / 2**20:.0f} MiB; a trajectory of more than {MOST_BYTES >> 20} is not read.")
        raw: object = json.loads(path.read_bytes())
    except OSError as error:
        raise TraceError(f"cannot read the trajectory {path}: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise TraceError(
            f"{path} is not a complete JSON file ({error}): it was cut off or edited. Delete it and give the "
            "command of its run again to make it anew."
        ) from error
    version = cast("dict[str, Any]", raw).get("schema_version") if isinstance(raw, dict) else None
    if version != SCHEMA_VERSION:
        raise TraceError(
            f"{path} has schema_version {version!r}; this program reads version {SCHEMA_VERSION}. "
            "Read it with the anomalyagent version that wrote it (named under 'versions')."
        )
    try:
        return Trajectory.model_validate(raw)
    except ValidationError as error:
        raise TraceError(
            f"{path} is not a valid trajectory: {first_fault(error, 'the file')} ({error.error_count()} problems in all)."
        ) from error
