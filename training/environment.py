"""The live five tools as a training environment, under the very rules of the graph.

    Environment    tools (MCP, in this process), limits and a workspace, opened once: `async with Environment(...)`
    Episode        one task under way: `episode.view`, then `await episode.act(thought, action)` until `episode.done`

An episode runs the graph's own nodes (`graph.nodes`), so legality, observations, seeds and ends of a rollout are those of
`anomalyagent synthesize`, byte for byte; only checkpoints are left out. `training.grpo` has the same episodes behind TRL's
`environment_factory`.
"""

import hashlib
import shutil
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from anomalyagent.configs.schema import Settings
from anomalyagent.errors import PolicyError
from anomalyagent.graph.files import write_atomically
from anomalyagent.graph.nodes import Nodes, Services, compares
from anomalyagent.graph.policies.base import Decision, Policy
from anomalyagent.graph.progress import View
from anomalyagent.graph.runfile import decisive_settings, digest_of
from anomalyagent.graph.state import GraphState, initial_state, read_images, read_turns
from anomalyagent.graph.trace import Action, Task, Trajectory, Turn
from anomalyagent.graph.worker import WorkerSetup, summarize_state, versions
from anomalyagent.mcp_tools.client import ToolClient

__all__ = ["Environment", "Episode", "play"]

PHOTOS = "photos"
MADE = "images"


class _Given:
    """The policy of an episode's nodes: it says what the episode was told to do."""

    name = "given"

    def __init__(self) -> None:
        self.decision: Decision | None = None

    async def decide(self, view: View) -> Decision:
        if self.decision is None:
            raise PolicyError(f"nothing was decided for turn {len(view.turns)}.")
        return self.decision


class Episode:
    """One task under way. Make it with `Environment.start`."""

    def __init__(self, task: Task, environment: "Environment") -> None:
        self._environment = environment
        self._given = _Given()
        self._nodes = Nodes(
            Services(
                self._given,
                environment.tools,
                environment.settings.limits,
                environment.workspace,
                compares=compares(environment.settings),
            )
        )
        self._state: GraphState = initial_state(task, task.normal_sha256)

    @property
    def view(self) -> View:
        """What a policy sees before its next turn."""
        limits, turns = self._environment.settings.limits, read_turns(self._state)
        return View(
            task=Task.model_validate(self._state.get("task")),
            turns=turns,
            images=read_images(self._state),
            max_rounds=limits.rounds,
            turns_left=limits.turns - len(turns),
        )

    @property
    def done(self) -> bool:
        """It ended: by an answer, a limit, or tools that kept failing."""
        return "outcome" in self._state

    async def act(self, thought: str, action: Action) -> Turn | None:
        """Take a turn.

        Returns:
            The turn with its observation; None when a limit had been reached and the turn was not taken.
        Raises:
            PolicyError: the episode is over.
        """
        if self.done:
            raise PolicyError("the episode is over; start another one.")
        self._given.decision = Decision(thought, action)
        before = len(self._state.get("turns", []))
        self._merge(await self._nodes.agent(self._state))
        if self._state.get("pending"):
            self._merge(await self._nodes.call_tool(self._state))
        if self._nodes.route(self._state) == "finish":
            self._merge(await self._nodes.finish(self._state))
        elif len(self._state.get("turns", [])) >= self._environment.settings.limits.turns:
            self._merge(await self._nodes.agent(self._state))  # says which limit it was
            self._merge(await self._nodes.finish(self._state))
        turns = self._state.get("turns", [])
        return Turn.model_validate(turns[-1]) if len(turns) > before else None

    async def stop(self, reason: str) -> None:
        """End it here without an answer."""
        self._merge({"stop": reason})
        self._merge(await self._nodes.finish(self._state))

    def trajectory(self, policy: str) -> Trajectory:
        """The record of the episode, made by `policy`."""
        made = summarize_state(self._state, self._environment.setup, self._environment.versions, seconds=0.0)
        return made.model_copy(update={"policy": policy})

    def _merge(self, change: GraphState) -> None:
        state = cast("dict[str, Any]", self._state)
        for key, value in cast("dict[str, Any]", change).items():
            state[key] = [*state.get(key, []), *value] if key in ("turns", "images") else value


class Environment:
    """Tools, limits and a workspace for many episodes.

    Args:
        settings: tools and limits; its policy is not used.
        workspace: folder for photos and images, made when it is missing.
    """

    def __init__(self, settings: Settings, workspace: Path) -> None:
        self.settings, self.workspace = settings, workspace
        self.versions = versions()
        self.setup = WorkerSetup(
            run_dir=workspace,
            run_id="training",
            config_sha256=digest_of(decisive_settings(settings)),
            settings=settings,
        )
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        (self.workspace / PHOTOS).mkdir(parents=True, exist_ok=True)
        self.tools = await self._stack.enter_async_context(ToolClient(self.settings, self.workspace))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def add_photo(self, png: bytes) -> tuple[str, str]:
        """Bring a normal photo into the workspace.

        Returns:
            Its reference and its SHA-256.
        """
        digest = hashlib.sha256(png).hexdigest()
        path = self.workspace / PHOTOS / f"{digest[:24]}.png"
        if not path.is_file():
            write_atomically(path, png)
        return f"{PHOTOS}/{path.name}", digest

    def start(self, task: Task) -> Episode:
        """Begin a task, whose `normal_image` is a reference in the workspace."""
        return Episode(task, self)

    def forget_images(self) -> None:
        """Delete what the tools made so far; no episode may be under way."""
        shutil.rmtree(self.workspace / MADE, ignore_errors=True)


async def play(environment: Environment, policy: Policy, tasks: Sequence[Task]) -> list[Trajectory]:
    """Let `policy` play the tasks one after the other."""
    done: list[Trajectory] = []
    for task in tasks:
        episode = environment.start(task)
        while not episode.done:
            try:
                decision = await policy.decide(episode.view)
            except PolicyError as error:
                await episode.stop(f"the policy failed: {error}")
                break
            await episode.act(decision.thought, decision.action)
        done.append(episode.trajectory(policy.name))
    return done
