"""Rows for training: SFT, GRPO prompts and preference pairs, as plain data.

    sft          messages + tools + images: a whole conversation
    grpo         prompt + tools + images: a task's opening, its seed and bounds; what a rollout starts from
    preference   prompt + chosen + rejected + tools + images: one turn or one whole ending against another

In every row: id, run, item, anomaly_type, kind, outcome, score, reward, and `trace_version`, `tools_sha256`, `config_sha256`,
which say what it was made for (see `table.py`). Image blocks are `{"type": "image", "image": name}`, in the order of the row's
`images`. All wording comes from `graph.wire`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from anomalyagent.graph.progress import View, read_progress
from anomalyagent.graph.trace import SCHEMA_VERSION, ImageEntry, ToolCall
from anomalyagent.graph.wire import TOOLS, tools_digest
from anomalyagent.training.conversation import to_messages, view_of
from anomalyagent.training.rows.redact import Redactor
from anomalyagent.training.rows.select import Chosen

__all__ = ["Row", "grpo_rows", "image_name", "preference_rows", "sft_rows"]

Row = dict[str, Any]
_LEAST_MARGIN = 0.05
"""Difference of rewards from which one whole conversation is preferred to another."""


def image_name(entry: ImageEntry) -> str:
    """Name of an image in an export: by content."""
    return f"{entry.sha256[:16]}.png"


def sft_rows(chosen: Iterable[Chosen], redactor: Callable[[Chosen], Redactor], *, system: bool, images: bool) -> Iterator[Row]:
    """A row for each conversation."""
    for one in chosen:
        view = view_of(one.trajectory, one.max_rounds)
        messages = to_messages(view, system=system, images=image_name if images else None)
        yield {
            **_about(one),
            "messages": redactor(one).value(messages),
            "tools": list(TOOLS),
            "images": _images(view.images, messages) if images else [],
        }


def grpo_rows(chosen: Iterable[Chosen], redactor: Callable[[Chosen], Redactor], *, system: bool, images: bool) -> Iterator[Row]:
    """A row for each task: the same photo, item and type appear once."""
    seen: set[tuple[str, str, str]] = set()
    for one in chosen:
        task = one.trajectory.task
        key = (task.normal_sha256, task.item_name, task.anomaly_type)
        if key in seen:
            continue
        seen.add(key)
        opening = View(task, [], one.trajectory.images[:1], one.max_rounds)
        prompt = to_messages(opening, system=system, images=image_name if images else None)
        yield {
            **_about(one),
            "prompt": redactor(one).value(prompt),
            "tools": list(TOOLS),
            "images": _images(opening.images, prompt) if images else [],
            "seed": task.seed,
            "max_rounds": one.max_rounds,
            "normal_sha256": one.trajectory.images[0].sha256,
        }


def preference_rows(
    chosen: Sequence[Chosen], redactor: Callable[[Chosen], Redactor], *, system: bool, images: bool
) -> Iterator[Row]:
    """Pairs: a better and a worse image_gen turn after the same opening, or whole conversations on the same task."""
    for one in chosen:
        yield from _turn_pairs(one, redactor(one), system=system, images=images)
    groups: dict[tuple[str, str, str], list[Chosen]] = {}
    for one in chosen:
        task = one.trajectory.task
        groups.setdefault((task.normal_sha256, task.item_name, task.anomaly_type), []).append(one)
    for group in groups.values():
        best, worst = max(group, key=lambda one: one.reward), min(group, key=lambda one: one.reward)
        if best.reward - worst.reward >= _LEAST_MARGIN and best.max_rounds == worst.max_rounds:
            yield _whole_pair(best, worst, redactor, system=system, images=images)


def _turn_pairs(one: Chosen, redactor: Redactor, *, system: bool, images: bool) -> Iterator[Row]:
    """The image_gen turn whose image passed against the first one whose image did not, both right after the first prompt."""
    trajectory = one.trajectory
    progress = read_progress(trajectory.turns)
    passed = next((each for each in progress.rounds if each.passed), None)
    failed = next((each for each in progress.rounds if each.evaluation is not None and not each.passed), None)
    if passed is None or failed is None:
        return
    drawn = [
        turn
        for turn in trajectory.turns
        if isinstance(turn.action, ToolCall)
        and turn.action.name == "image_gen"
        and turn.observation
        and turn.observation.images
    ]
    good = next(turn for turn in drawn if turn.observation and turn.observation.images[0].number == passed.number)
    bad = next(turn for turn in drawn if turn.observation and turn.observation.images[0].number == failed.number)
    shown = [entry for entry in trajectory.images if entry.number == 1]
    before = View(trajectory.task, trajectory.turns[: drawn[0].index], shown, one.max_rounds)
    namer = image_name if images else None
    prompt = to_messages(before, system=system, images=namer)
    # a later thought speaks of images that this opening has not: thoughts are left out of both
    answers = [
        to_messages(
            View(trajectory.task, [turn.model_copy(update={"thought": "", "observation": None})], shown, one.max_rounds),
            system=False,
        )[1:]
        for turn in (good, bad)
    ]
    yield {
        **_about(one),
        "pair": "turn",
        "prompt": redactor.value(prompt),
        "chosen": redactor.value(answers[0]),
        "rejected": redactor.value(answers[1]),
        "tools": list(TOOLS),
        "images": _images(shown, prompt) if images else [],
        "chosen_score": passed.score,
        "rejected_score": failed.score,
    }


def _whole_pair(best: Chosen, worst: Chosen, redactor: Callable[[Chosen], Redactor], *, system: bool, images: bool) -> Row:
    namer = image_name if images else None
    ends: list[list[dict[str, Any]]] = []
    opening = 2 if system else 1
    prompt: list[dict[str, Any]] = []
    for one in (best, worst):
        messages = redactor(one).value(to_messages(view_of(one.trajectory, one.max_rounds), system=system, images=namer))
        prompt = prompt or messages[:opening]
        ends.append(messages[opening:])
    entries = [*best.trajectory.images, *worst.trajectory.images[1:]]
    return {
        **_about(best),
        "pair": "conversation",
        "prompt": prompt,
        "chosen": ends[0],
        "rejected": ends[1],
        "tools": list(TOOLS),
        "images": _images(entries, [*prompt, *ends[0], *ends[1]]) if images else [],
        "chosen_score": best.trajectory.score,
        "rejected_score": worst.trajectory.score,
    }


def _about(one: Chosen) -> Row:
    trajectory = one.trajectory
    return {
        "id": trajectory.id,
        "run": trajectory.run_id,
        "item": trajectory.task.item_name,
        "anomaly_type": trajectory.task.anomaly_type,
        "policy": trajectory.policy,
        "kind": one.kind,
        "outcome": trajectory.outcome,
        "score": trajectory.score,
        "reward": round(one.reward, 6),
        "trace_version": SCHEMA_VERSION,
        "tools_sha256": tools_digest(),
        "config_sha256": trajectory.config_sha256,
    }


def _images(entries: Iterable[ImageEntry], messages: Sequence[dict[str, Any]]) -> list[ImageEntry]:
    """The entries in the order in which the messages show them."""
    by_name = {image_name(entry): entry for entry in entries}
    return [
        by_name[block["image"]]
        for message in messages
        if isinstance(message["content"], list)
        for block in message["content"]
        if block["type"] == "image"
    ]
