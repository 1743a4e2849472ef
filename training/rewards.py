"""The three-part reward of a trajectory: R = alpha R_task + beta R_ref + gamma R_beh. Pure: same trajectory, same number.

    R_task   the score of the final image, 0..1; 0 without one, or where it shows another mechanism than was asked for
    R_ref    what each image improved on the best one before it, summed, 0..1
    R_beh    format - illegal turns + knowledge asked for after a low score - turns beyond the shortest good episode
             - drawings beyond the first of a call

Scores come from `training.judging`, a judge that the agent never hears. Source: the paper, section on RL; its weights are not
published, ours are in `configs/train/*.yaml`. Deviations, each against a hack that pays in the formula as printed:

    R_ref counts from the best image so far, starting at 0, not from the image just before: there an agent that draws a
    bad image on purpose and a good one after it earns more than one that draws the good one at once.
    The bonus for knowledge is paid once for each low score (the rules allow no second call) and must be smaller than what
    the turns cost that follow from it.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from anomalyagent.graph.trace import Answer, Malformed, ToolCall, Trajectory, Turn

__all__ = ["ImageScore", "Reward", "RewardWeights", "TurnReward", "reward"]

_TURNS_OF_A_ROUND = 2
"""image_gen and quality_eval."""


class RewardWeights(BaseModel):
    """Weights of the terms."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    alpha: Annotated[float, Field(ge=0)] = Field(default=0.5, description="Of R_task.")
    beta: Annotated[float, Field(ge=0)] = Field(default=0.2, description="Of R_ref.")
    gamma: Annotated[float, Field(ge=0)] = Field(default=0.3, description="Of R_beh.")
    illegal: Annotated[float, Field(ge=0)] = Field(default=0.5, description="Phi: taken off for each illegal turn.")
    format: Annotated[float, Field(ge=0)] = Field(default=1.0, description="Given when every turn could be read.")
    knowledge: Annotated[float, Field(ge=0)] = Field(
        default=0.1, description="l_KR: given for each knowledge_retrieval after a score below `low_score`."
    )
    low_score: Annotated[float, Field(ge=0, le=10)] = Field(default=5.0, description="delta, of 10.")
    turn: Annotated[float, Field(ge=0)] = Field(default=0.2, description="l_T: taken off for each turn beyond `most_turns`.")
    drawing: Annotated[float, Field(ge=0)] = Field(
        default=0.02, description="Taken off for each drawing of an image_gen call beyond its first (ours; the paper has none)."
    )
    most_turns: Annotated[int, Field(ge=1)] = Field(default=5, description="T_max: prompt, image, judge, mask, answer.")

    @model_validator(mode="after")
    def _knowledge_must_not_pay_by_itself(self) -> "RewardWeights":
        spent = self.turn * (1 + _TURNS_OF_A_ROUND)
        if self.gamma > 0 and self.knowledge > spent:
            raise ValueError(
                f"knowledge ({self.knowledge:g}) must not exceed turn * {1 + _TURNS_OF_A_ROUND} ({spent:g}): drawing badly "
                "on purpose to be allowed to ask would pay. Lower `knowledge` or raise `turn`."
            )
        return self


class ImageScore(BaseModel):
    """What the judge of the reward says about one anomaly image."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int = Field(description="Number of the image in the conversation.")
    score: Annotated[float, Field(ge=0, le=10)]
    as_asked: bool = Field(default=True, description="False: it was drawn with a mechanism that does not belong to the type.")


class TurnReward(BaseModel):
    """What one turn brought, unweighted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    index: int
    task: float = 0.0
    reflection: float = 0.0
    behaviour: float = 0.0
    why: str = ""


class Reward(BaseModel):
    """The reward of a trajectory with its terms, each unweighted, and where they came from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    total: float
    task: float
    reflection: float
    behaviour: float
    turns: list[TurnReward]


def reward(trajectory: Trajectory, scores: Sequence[ImageScore], weights: RewardWeights) -> Reward:
    """R and its terms.

    Args:
        trajectory: finished, in whatever way.
        scores: of every anomaly image in it, in any order; an image without one counts as 0.
    """
    known = {score.number: score for score in scores}
    turns: list[TurnReward] = []
    best, last = 0.0, None
    unreadable = False
    for turn in trajectory.turns:
        task, reflection, behaviour, why = 0.0, 0.0, 0.0, list[str]()
        if not turn.legal:
            behaviour -= weights.illegal
            why.append("illegal")
            unreadable = unreadable or isinstance(turn.action, Malformed)
        if turn.index >= weights.most_turns:
            behaviour -= weights.turn
            why.append(f"turn {turn.index + 1} of {weights.most_turns}")
        number = _drawn(turn)
        if number is not None:
            again = _drawings(turn) - 1
            behaviour -= weights.drawing * again
            why += [f"drawn {again + 1} times"] if again else []
            last = _value(known, number)
            if last > best:
                reflection = last - best
                why.append(f"image {number}: {best:.2f} -> {last:.2f}")
                best = last
        if _asked(turn) and last is not None and 10 * last < weights.low_score:
            behaviour += weights.knowledge
            why.append("knowledge after a low score")
        if turn.legal and isinstance(turn.action, Answer) and turn.action.final_image_index is not None:
            task = _value(known, turn.action.final_image_index)
            why.append(f"final image {turn.action.final_image_index}: {task:.2f}")
        turns.append(TurnReward(index=turn.index, task=task, reflection=reflection, behaviour=behaviour, why=", ".join(why)))
    answered = any(turn.legal and isinstance(turn.action, Answer) for turn in trajectory.turns)
    if turns and answered and not unreadable:
        last_turn = turns[-1]
        turns[-1] = last_turn.model_copy(
            update={"behaviour": last_turn.behaviour + weights.format, "why": f"{last_turn.why}, every turn readable"}
        )
    task, reflection, behaviour = (
        sum(one.task for one in turns),
        sum(one.reflection for one in turns),
        sum(one.behaviour for one in turns),
    )
    total = weights.alpha * task + weights.beta * reflection + weights.gamma * behaviour
    return Reward(total=total, task=task, reflection=reflection, behaviour=behaviour, turns=turns)


def _value(known: dict[int, ImageScore], number: int) -> float:
    score = known.get(number)
    return score.score / 10.0 if score is not None and score.as_asked else 0.0


def _succeeded(turn: Turn, tool: str) -> bool:
    return (
        turn.legal
        and isinstance(turn.action, ToolCall)
        and turn.action.name == tool
        and turn.observation is not None
        and turn.observation.error is None
    )


def _drawn(turn: Turn) -> int | None:
    """The number of the image that the turn made."""
    if not _succeeded(turn, "image_gen") or turn.observation is None:
        return None
    return turn.observation.images[0].number


def _drawings(turn: Turn) -> int:
    result = turn.observation.structured if turn.observation is not None else None
    return int((result or {}).get("drawings", 1))


def _asked(turn: Turn) -> bool:
    return _succeeded(turn, "knowledge_retrieval")
