"""Finished trajectories for tests, from conversations that were written down."""

from pathlib import Path
from typing import Any

from helpers.conversations import TASK, Conversation, answer

from anomalyagent.graph.nodes import conclude
from anomalyagent.graph.progress import read_progress
from anomalyagent.graph.trace import Outcome, Trajectory, write_trajectory
from anomalyagent.mcp_tools.contracts import Finding

__all__ = ["finished", "make_trajectory", "store"]


def finished(talk: Conversation) -> Trajectory:
    """The trajectory of a conversation, as a run would store it."""
    progress = read_progress(talk.turns)
    outcome, reason = conclude(progress, None)
    final = progress.round_of(progress.answer.final_image_index) if progress.answer else None
    return Trajectory(
        id=TASK.id,
        run_id="run",
        task=TASK,
        policy="test",
        turns=talk.turns,
        images=talk.images,
        outcome=outcome,
        reason=reason,
        final_image=final.result.image if final else None,
        score=final.evaluation.score if final and final.evaluation else None,
        rounds=len(progress.rounds),
        seconds=1.0,
        cost_usd=0.0,
        config_sha256="0" * 64,
        versions={},
    )


def make_trajectory(
    name: str = "scratch-00000", outcome: Outcome = "accepted", score: float = 8.0, **changes: Any
) -> Trajectory:
    """A short trajectory: accepted in one round, or rejected after three with a finding."""
    talk = Conversation().prompt()
    if outcome == "accepted":
        talk.image().judge(score).mask().act(answer("success", 2, True))
    elif outcome == "rejected":
        faint = Finding(name="too_faint", weight=0.8, message="hardly visible.", hint="raise severity.")
        for _ in range(3):
            talk.image().judge(score / 2, [faint])
        talk.act(answer("failure", None, False))
    fields: dict[str, Any] = {
        "id": name,
        "run_id": "r",
        "task": TASK.model_copy(update={"id": name}),
        "policy": "expert",
        "turns": talk.turns,
        "images": talk.images,
        "outcome": outcome,
        "reason": f"{outcome} for a test.",
        "rounds": sum(1 for image in talk.images if image.role == "anomaly"),
        "seconds": 0.5,
        "cost_usd": 0.0,
        "config_sha256": "0" * 64,
        "versions": {"anomalyagent": "0.1.0"},
    }
    return Trajectory.model_validate({**fields, **changes})


def store(run_dir: Path, trajectory: Trajectory) -> Path:
    """Write it where a run keeps it."""
    path = run_dir / "trajectories" / f"{trajectory.id}.json"
    write_trajectory(trajectory, path)
    return path
