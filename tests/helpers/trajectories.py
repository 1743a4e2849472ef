"""Finished trajectories for tests, from conversations that were written down."""

from helpers.conversations import TASK, Conversation

from anomalyagent.graph.nodes import conclude
from anomalyagent.graph.progress import read_progress
from anomalyagent.graph.trace import Trajectory

__all__ = ["finished"]


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
