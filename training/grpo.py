"""GRPO with TRL's trainer on the live tools, for models of any size (the tiny policy has its own loop: `training.tiny.grpo`).

    ToolRoom             tools, photos and judge in a thread of their own, shared by all rollouts
    LiveTools            one rollout: its public methods are the five tools; make_environments is TRL's `environment_factory`
    reward_of_rollout    the three-part reward; the answer, which is no tool call, is read from the last message
    ToolGRPOTrainer      groups without any advantage do not count (TRL 1.16 has no such filter; private, so TRL is pinned)

A tool method returns the observation of the graph, so the text that the model reads is that of a live run and of an SFT row.
With `images`, it returns image blocks before the text, for models that see. TRL ends an episode at the first turn that
is no call; an unreadable turn is then one illegal turn, as the reward counts it.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from PIL import Image
from trl.trainer.grpo_trainer import GRPOTrainer

from anomalyagent.graph.trace import ImageEntry, Malformed, ToolCall, Trajectory
from anomalyagent.graph.wire import converse, read_turn, system_text
from anomalyagent.training.environment import Environment, Episode
from anomalyagent.training.judging import make_judge
from anomalyagent.training.practice import Practice
from anomalyagent.training.rewards import Reward, reward
from anomalyagent.training.settings import TrainSettings

__all__ = ["ToolGRPOTrainer", "ToolRoom", "make_environments", "prompt_rows", "reward_of_rollout"]

_Result = TypeVar("_Result")
_NO_ADVANTAGE = 1e-8


class ToolRoom:
    """The environment on an event loop of its own, so that plain functions can use it: `with ToolRoom(...) as room`.

    Args:
        workspace: folder for photos and images.
        practice: where tasks come from.
        images: observations bring their images along.
    """

    def __init__(self, settings: TrainSettings, practice: Practice, workspace: Path, *, images: bool = False) -> None:
        self.settings, self.practice, self.images = settings, practice, images
        self.environment = Environment(settings.tools(), workspace)
        self.judge = make_judge(settings.judge, settings.tools())
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tool-room", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self.environment.__aenter__())
        return self

    def __exit__(self, *error: object) -> None:
        self.run(self.environment.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run `work` on the room's loop and wait for it."""
        future: Future[_Result] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result()

    def start(self, number: int) -> Episode:
        """Begin practice task `number`."""

        async def begin() -> Episode:
            return self.environment.start(self.practice.task(number, self.environment))

        return self.run(begin())

    def score(self, trajectory: Trajectory) -> Reward:
        """The reward of a finished episode."""
        scores = self.judge.scores(trajectory, self.environment.workspace)
        return reward(trajectory, scores, self.settings.rewards)

    def blocks(self, text: str, entries: list[ImageEntry]) -> str | list[dict[str, Any]]:
        """An observation as TRL wants it."""
        if not self.images:
            return text
        folder = self.environment.workspace
        shown = [{"type": "image", "image": Image.open(folder / entry.ref).convert("RGB")} for entry in entries]
        return [*shown, {"type": "text", "text": text}]


def prompt_rows(first: int, count: int, *, system: bool) -> list[dict[str, Any]]:
    """Rows of TRL's data set: the number of the task, and the prompt up to what `reset` adds to it.

    Args:
        system: begin with the tools and the format, for models that have not learned them.
    """
    start = [{"role": "system", "content": system_text()}] if system else []
    return [{"prompt": [*start, {"role": "user", "content": ""}], "number": first + index} for index in range(count)]


class LiveTools:
    """One rollout in a room. `reset` gives the task; each other public method is a tool."""

    def __init__(self, room: ToolRoom) -> None:
        self._room = room
        self._episode: Episode | None = None

    def reset(self, **row: Any) -> str | list[dict[str, Any]]:
        """Begin the task of a row."""
        self._episode = self._room.start(int(row["number"]))
        view = self._episode.view
        return self._room.blocks(converse(view, system=False)[0].text, list(view.images[:1]))

    def prompt_gen(
        self, image: int | None = None, item_name: str = "", anomaly_type: str = "", seed: int | None = None
    ) -> str | list[dict[str, Any]]:
        """Write the first editing prompt.

        Args:
            image: number of the normal image.
            item_name: as in the task.
            anomaly_type: as in the task.
            seed: of the prompt.
        """
        return self._call("prompt_gen", image=image, item_name=item_name, anomaly_type=anomaly_type, seed=seed)

    def image_gen(
        self,
        image: int | None = None,
        prompt: str = "",
        spec: dict[str, Any] | None = None,
        seed: int | None = None,
        tries: int | None = None,
    ) -> str | list[dict[str, Any]]:
        """Draw the anomaly.

        Args:
            image: number of the normal image.
            prompt: editing prompt.
            spec: the same in numbers.
            seed: of the image.
            tries: drawings at most, while its own check finds them too poor.
        """
        return self._call("image_gen", image=image, prompt=prompt, spec=spec, seed=seed, tries=tries)

    def quality_eval(
        self, normal_image: int | None = None, anomaly_image: int | None = None, item_name: str = "", anomaly_type: str = ""
    ) -> str | list[dict[str, Any]]:
        """Judge the newest anomaly image.

        Args:
            normal_image: number of the normal image.
            anomaly_image: number of the anomaly image.
            item_name: as in the task.
            anomaly_type: as in the task.
        """
        return self._call(
            "quality_eval",
            normal_image=normal_image,
            anomaly_image=anomaly_image,
            item_name=item_name,
            anomaly_type=anomaly_type,
        )

    def knowledge_retrieval(
        self, item_name: str = "", anomaly_type: str = "", query: str | None = None
    ) -> str | list[dict[str, Any]]:
        """Look up how such a defect looks.

        Args:
            item_name: as in the task.
            anomaly_type: as in the task.
            query: question in words.
        """
        return self._call("knowledge_retrieval", item_name=item_name, anomaly_type=anomaly_type, query=query)

    def mask_gen(self, normal_image: int | None = None, anomaly_image: int | None = None) -> str | list[dict[str, Any]]:
        """Make the mask.

        Args:
            normal_image: number of the normal image.
            anomaly_image: number of the anomaly image.
        """
        return self._call("mask_gen", normal_image=normal_image, anomaly_image=anomaly_image)

    def _call(self, tool: str, **arguments: Any) -> str | list[dict[str, Any]]:
        given = {name: value for name, value in arguments.items() if value not in (None, "")}
        episode = self._running()
        if episode.done:
            return "The episode is over: a limit was reached."
        turn = self._room.run(episode.act("", ToolCall(name=tool, arguments=given)))
        if turn is None or turn.observation is None:
            return "The episode is over: a limit was reached."
        return self._room.blocks(turn.observation.text, turn.observation.images)

    def _finish(self, text: str) -> Trajectory:
        """Take the last turn, if the episode waits for one, and close the books."""
        episode = self._running()
        if not episode.done:
            said = read_turn(text)
            if isinstance(said.action, ToolCall):  # one more call than was carried out
                action = Malformed(raw=text, problem="the rollout ended before this call.")
            else:
                action = said.action
            self._room.run(episode.act(said.thought, action))
        if not episode.done:
            self._room.run(episode.stop("the rollout ended without an answer."))
        return episode.trajectory("grpo")

    def _running(self) -> Episode:
        assert self._episode is not None, "reset comes first"
        return self._episode


def make_environments(room: ToolRoom) -> Callable[[], Any]:
    """TRL's `environment_factory` on `room`; TRL's own type of it knows no images in what `reset` returns."""
    return partial(LiveTools, room)


def reward_of_rollout(room: ToolRoom) -> Callable[..., list[float | None]]:
    """The reward function for TRL's `reward_funcs`."""

    def three_part_reward(completions: list[list[dict[str, Any]]], environments: list[Any], **_: Any) -> list[float | None]:
        earned: list[float | None] = []
        for completion, environment in zip(completions, environments, strict=True):
            last = completion[-1] if completion else {}
            content = last.get("content") or ""
            text = content if isinstance(content, str) else "".join(block.get("text", "") for block in content)
            earned.append(room.score(environment._finish(text)).total)
        return earned

    return three_part_reward


class ToolGRPOTrainer(GRPOTrainer):
    """TRL's trainer without the tokens of groups whose rewards are all equal."""

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        without = output["advantages"].abs() < _NO_ADVANTAGE
        output["completion_mask"] = output["completion_mask"] * (~without)[:, None].to(output["completion_mask"].dtype)
        mask = output["completion_mask"]
        counted = mask * output["tool_mask"] if "tool_mask" in output else mask
        gathered: Any = self.accelerator.gather(counted.sum())
        output["num_items_in_batch"] = gathered.sum().clamp(min=1)
        trained: Any = self.model
        mode = "train" if trained.training else "eval"
        self._metrics[mode]["dropped"].append(float(without.float().mean().item()))
        return output
