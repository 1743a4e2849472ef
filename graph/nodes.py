"""The nodes of the graph: `agent` decides and is judged by the rules, a tool node makes the call, `finish` sums up.

A node reads the state, does one thing and returns what changes, so running one again after a crash repeats nothing but
that one thing (image files are named by content; the same call makes the same file).
"""

import asyncio
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, cast

from langchain_core.runnables import RunnableConfig

from anomalyagent.configs.schema import LimitSettings, Settings
from anomalyagent.errors import PolicyError, ToolCallError
from anomalyagent.graph.approval import ask_for_approval
from anomalyagent.graph.observations import describe_failure, describe_illegal, describe_result
from anomalyagent.graph.policies.base import Policy
from anomalyagent.graph.progress import Progress, View, read_progress
from anomalyagent.graph.rules import check
from anomalyagent.graph.state import GraphState, read_images, read_turns
from anomalyagent.graph.tasks import derive_seed
from anomalyagent.graph.trace import Edit, ImageEntry, Observation, Outcome, Task, ToolCall, Turn
from anomalyagent.mcp_tools.contracts import ImageResult, MaskResult, ToolName, ToolResult

__all__ = ["Nodes", "Services", "Tools", "compares", "conclude"]

MOST_TRIES = 2
"""Calls of a tool in one turn when its server crashed or answered nonsense; a refusal is told to the agent at once."""
MOST_FAILURES = 4
"""Failed calls in a row after which a trajectory ends, whatever the policy would still try."""


class Tools(Protocol):
    """What the graph needs of the MCP client: one call of one tool."""

    async def call(self, tool: ToolName, arguments: Mapping[str, object], timeout_s: float | None = None) -> ToolResult: ...


@dataclass(frozen=True)
class Services:
    """What the nodes work with.

    Attributes:
        policy: decides.
        tools: calls.
        limits: bounds of a trajectory.
        workspace: folder that image references are relative to.
        compares: knowledge_retrieval is told the newest image, since the user has reference defects to compare it with.
    """

    policy: Policy
    tools: Tools
    limits: LimitSettings
    workspace: Path
    compares: bool = False


def compares(settings: Settings) -> bool:
    """Whether knowledge_retrieval takes the newest image: our own does where the user has reference defects."""
    return settings.knowledge.references is not None and settings.tools.knowledge_retrieval.server is None


class Nodes:
    """The node functions, bound to their services."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def agent(self, state: GraphState) -> GraphState:
        """Let the policy decide; an illegal action becomes a turn at once, a legal call is left to its tool node."""
        services, turns = self._services, read_turns(state)
        stop = self._limit_reached(turns)
        if stop:
            return {"stop": stop}
        limits, view = services.limits, self._view(state)
        started_at, clock = datetime.now(UTC), time.perf_counter()
        try:
            async with asyncio.timeout(_seconds_left(limits, turns)):
                decision = await services.policy.decide(view)
        except TimeoutError:
            return {"stop": f"the time limit of {limits.trajectory_timeout_s:g} s was reached while the policy was deciding."}
        except PolicyError as error:
            return {"stop": f"the policy failed: {error}"}
        reason = check(view, decision.action)
        turn = Turn(
            index=len(turns),
            thought=decision.thought,
            action=decision.action,
            legal=reason is None,
            observation=Observation(text=describe_illegal(reason), error=reason) if reason else None,
            started_at=started_at.isoformat(timespec="milliseconds"),
            seconds=time.perf_counter() - clock,
            cost_usd=decision.cost_usd,
            tokens=decision.tokens,
        ).model_dump(mode="json")
        return {"pending": turn} if reason is None and isinstance(decision.action, ToolCall) else {"turns": [turn]}

    async def call_tool(self, state: GraphState, config: RunnableConfig | None = None) -> GraphState:
        """Make the pending call; a failure is an observation.

        `configurable.approve` names the tools before whose calls a person is asked first (see approval.py).
        """
        turn = Turn.model_validate(state.get("pending"))
        images = read_images(state)
        edits: list[Edit] = []
        if isinstance(turn.action, ToolCall) and turn.action.name in ((config or {}).get("configurable") or {}).get(
            "approve", ()
        ):
            turn, edits = ask_for_approval(self._view(state), turn)
        told = [edit.model_dump(mode="json") for edit in edits]
        if turn.observation is not None:  # rejected
            return {"turns": [turn.model_dump(mode="json")], "pending": None, "edits": told}
        assert isinstance(turn.action, ToolCall)
        name = cast("ToolName", turn.action.name)  # the rules let only these names pass
        arguments = {
            key: images[value - 1].ref if key in ("image", "normal_image", "anomaly_image") else value
            for key, value in turn.action.arguments.items()
            if value is not None
        }
        task = Task.model_validate(state.get("task"))
        if name == "prompt_gen":
            arguments.setdefault("seed", task.seed)
        elif name == "image_gen":
            if "seed" not in cast("dict[str, object]", arguments.get("spec", {})):
                arguments.setdefault("seed", derive_seed(task.seed, "image", len(images)))
            if arguments.get("tries", 1) > 1:  # what its own check compares with
                arguments |= {"item_name": task.item_name, "anomaly_type": task.anomaly_type}
        elif name == "knowledge_retrieval" and self._services.compares:
            newest = next((image for image in reversed(images) if image.role == "anomaly"), None)
            if newest is not None:
                arguments |= {"normal_image": images[0].ref, "anomaly_image": newest.ref}
        timeout_s = min(self._services.limits.tool_timeout_s, _seconds_left(self._services.limits, read_turns(state)))
        clock, tries = time.perf_counter(), 0
        while True:
            tries += 1
            try:
                result = await self._services.tools.call(name, arguments, timeout_s)
                made = self._made(result, len(images) + 1)
                text = describe_result(result, made, turn.action.arguments)
                observation = Observation(text=text, structured=result.model_dump(mode="json"), images=made)
                turn.cost_usd += result.cost_usd
                turn.tokens += result.tokens
                break
            except ToolCallError as error:
                turn.cost_usd += error.cost_usd  # what failed may have been paid for
                turn.tokens += error.tokens
                if error.kind in ("crashed", "bad_result") and tries < MOST_TRIES:
                    continue
                made = []
                observation = Observation(text=describe_failure(name, str(error)), error=f"{error.kind}: {error}")
                break
        turn.observation, turn.retries = observation, tries - 1
        turn.seconds += time.perf_counter() - clock
        return {
            "turns": [turn.model_dump(mode="json")],
            "images": [image.model_dump(mode="json") for image in made],
            "pending": None,
            "edits": told,
        }

    async def finish(self, state: GraphState) -> GraphState:
        """Say how it ended."""
        outcome, reason = conclude(read_progress(read_turns(state)), state.get("stop"))
        return {"outcome": outcome, "reason": reason}

    def route(self, state: GraphState) -> str:
        """Where to go after `agent`."""
        pending = state.get("pending")
        if pending:
            return str(pending["action"]["name"])
        turns = state.get("turns", [])
        answered = bool(turns) and turns[-1]["legal"] and turns[-1]["action"]["kind"] == "answer"
        return "finish" if answered or state.get("stop") else "agent"

    def _view(self, state: GraphState) -> View:
        limits, turns = self._services.limits, read_turns(state)
        return View(
            task=Task.model_validate(state.get("task")),
            turns=turns,
            images=read_images(state),
            max_rounds=limits.rounds,
            turns_left=limits.turns - len(turns),
            workspace=self._services.workspace,
        )

    def _limit_reached(self, turns: list[Turn]) -> str | None:
        limits = self._services.limits
        if len(turns) >= limits.turns:
            return f"the limit of {limits.turns} turns was reached before an answer."
        if _seconds_left(limits, turns) <= 0:
            return f"the time limit of {limits.trajectory_timeout_s:g} s was reached."
        cost = sum(turn.cost_usd for turn in turns)
        if cost > limits.trajectory_cost_usd:
            return f"the cost limit of {limits.trajectory_cost_usd:g} USD was reached ({cost:.4f} USD spent)."
        tokens = sum(turn.tokens for turn in turns)
        if limits.trajectory_tokens is not None and tokens > limits.trajectory_tokens:
            return f"the limit of {limits.trajectory_tokens} tokens was reached ({tokens} used)."
        failures = len(read_progress(turns).failed)
        if failures >= MOST_FAILURES:
            last = next(turn.observation.error for turn in reversed(turns) if turn.observation and turn.observation.error)
            return f"{failures} tool calls in a row failed, the last one with: {last}"
        return None

    def _made(self, result: ToolResult, number: int) -> list[ImageEntry]:
        if isinstance(result, ImageResult):
            role, ref = "anomaly", result.image
        elif isinstance(result, MaskResult):
            role, ref = "mask", result.mask
        else:
            return []
        try:
            digest = hashlib.sha256((self._services.workspace / ref).read_bytes()).hexdigest()
        except OSError as error:
            message = f"it named the image {ref!r}, which cannot be read in the run folder ({error.strerror})."
            raise ToolCallError(message, kind="bad_result") from error
        return [ImageEntry(number=number, role=role, ref=ref, sha256=digest)]


def conclude(progress: Progress, stop: str | None) -> tuple[Outcome, str]:
    """How a trajectory ended, and why, in one sentence.

    `accepted`: the agent answered with an image that passed and its mask. `rejected`: the rounds were spent, no image passed.
    `failed`: tools or the policy failed, or a limit was reached.
    """
    answer = progress.answer
    if answer is None:
        return "failed", stop or "it ended without an answer."
    if answer.status == "success":
        mask = progress.mask_of(answer.final_image_index)
        if mask is None or mask.result.area_fraction <= 0:
            return "rejected", "its mask is empty: nothing visible changed."
        score = max(one.score for one in progress.rounds if one.number == answer.final_image_index)
        return "accepted", f"image {answer.final_image_index} passed with {score:.2f} of 10."
    best = progress.best
    if progress.failed or best is None or best.evaluation is None:
        return "failed", f"tool calls kept failing: {answer.synthesis_logic}"
    findings = ", ".join(finding.name for finding in best.evaluation.findings[:2]) or "no finding was named"
    return "rejected", f"no image passed in {len(progress.rounds)} rounds; the best has {best.score:.2f} of 10 ({findings})."


def _seconds_left(limits: LimitSettings, turns: list[Turn]) -> float:
    """Seconds left of the trajectory's time: what its turns took, so that a pause between two runs does not count."""
    return limits.trajectory_timeout_s - sum(turn.seconds for turn in turns)
