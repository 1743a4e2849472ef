"""Which action is legal at which point of a trajectory: the one place that knows (graph, rewards and training all ask here).

Source: the paper's Algorithm 1, with its gaps closed as marked.

    prompt_gen           once, first
    image_gen            after prompt_gen, always on image 1; not before the last image was judged, not after a pass
    quality_eval         once for each generated image, right after it
    knowledge_retrieval  after a score that did not pass, once for each such score, while rounds are left
    mask_gen             on an image that passed, or, when the rounds are spent, on any judged image
    answer               success: the passed image has its mask
                         failure: the rounds are spent without a pass, or the last tool call failed
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError
from rapidfuzz import process

from anomalyagent.configs.faults import first_fault
from anomalyagent.configs.schema import SEEDS
from anomalyagent.graph.progress import View
from anomalyagent.graph.trace import Action, Answer, Malformed, ToolCall
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.contracts import MOST_TRIES, TOOL_NAMES, ToolName

__all__ = ["TOOL_ARGUMENTS", "Argument", "check"]

MAX_TEXT_CHARACTERS = 4000
_WHOLE = {"seed": (0, SEEDS - 1, "0 to 2^63 - 1"), "tries": (1, MOST_TRIES, f"1 to {MOST_TRIES}")}
"""Kinds of whole numbers: least, most, and both in words."""


class Argument(NamedTuple):
    """One argument of a tool, as the agent gives it: images by number; a seed left out follows from the task's."""

    kind: Literal["image", "text", "spec", "seed", "tries"]
    required: bool = True


TOOL_ARGUMENTS: dict[ToolName, dict[str, Argument]] = {
    "prompt_gen": {
        "image": Argument("image"),
        "item_name": Argument("text"),
        "anomaly_type": Argument("text"),
        "seed": Argument("seed", required=False),
    },
    "image_gen": {
        "image": Argument("image"),
        "prompt": Argument("text"),
        "spec": Argument("spec", required=False),
        "seed": Argument("seed", required=False),
        "tries": Argument("tries", required=False),
    },
    "quality_eval": {
        "normal_image": Argument("image"),
        "anomaly_image": Argument("image"),
        "item_name": Argument("text"),
        "anomaly_type": Argument("text"),
    },
    "knowledge_retrieval": {
        "item_name": Argument("text"),
        "anomaly_type": Argument("text"),
        "query": Argument("text", required=False),
    },
    "mask_gen": {"normal_image": Argument("image"), "anomaly_image": Argument("image")},
}


def check(view: View, action: Action) -> str | None:
    """Judge an action at this point of the conversation.

    Returns:
        None when it is legal, else the reason and what to do instead, written for the agent.
    """
    if view.progress.answer is not None:
        return "The episode is over: an answer was already given."
    if isinstance(action, Malformed):
        return action.problem
    if isinstance(action, Answer):
        return _check_answer(view, action)
    if action.name not in TOOL_NAMES:
        nearest = process.extractOne(action.name, TOOL_NAMES)
        return f"There is no tool {action.name!r}; did you mean {nearest[0]!r}? The tools are: {', '.join(TOOL_NAMES)}."
    return _ORDER[action.name](view) or _check_arguments(view, action) or _check_target(view, action)


def _check_prompt_gen(view: View) -> str | None:
    if view.progress.prompt is not None:
        return "prompt_gen is called exactly once, and it was. Rewrite the prompt or the spec yourself and call image_gen."
    return None


def _check_image_gen(view: View) -> str | None:
    if view.progress.prompt is None:
        return "image_gen needs a prompt: call prompt_gen first."
    last = view.progress.last
    if last is not None and last.evaluation is None:
        return f"Image {last.number} was not judged yet: call quality_eval on it before making another one."
    if last is not None and last.passed:
        return f"Image {last.number} passed with {last.score:.2f} of 10: call mask_gen on it."
    if view.rounds_spent:
        return f"All {view.max_rounds} rounds are spent: call mask_gen on the best image, or answer with status failure."
    return None


def _check_quality_eval(view: View) -> str | None:
    last = view.progress.last
    if last is None:
        return "There is no anomaly image to judge: call image_gen first."
    if last.evaluation is not None:
        return f"Image {last.number} was already judged ({last.score:.2f} of 10); judging it again gives the same score."
    return None


def _check_knowledge_retrieval(view: View) -> str | None:
    last = view.progress.last
    if last is None or last.evaluation is None:
        return "knowledge_retrieval comes after a score that did not pass; no image was judged yet."
    if last.passed:
        return f"Image {last.number} passed with {last.score:.2f} of 10: no more knowledge is needed, call mask_gen."
    if last.knowledge:
        return "Knowledge was already retrieved for this score: use it to change the prompt or spec and call image_gen."
    if view.rounds_spent:
        return f"All {view.max_rounds} rounds are spent, so knowledge cannot be used any more: call mask_gen or answer."
    return None


def _check_mask_gen(view: View) -> str | None:
    last = view.progress.last
    if last is None:
        return "There is no anomaly image to make a mask of: call image_gen first."
    if last.evaluation is None:
        return f"Image {last.number} was not judged yet: call quality_eval before mask_gen."
    if not last.passed and not view.rounds_spent:
        left = view.max_rounds - len(view.progress.rounds)
        return (
            f"Image {last.number} did not pass ({last.score:.2f} of 10, more than {last.evaluation.threshold:g} is needed) and "
            f"{left} of {view.max_rounds} rounds are left: improve the prompt or spec and call image_gen."
        )
    return None


_ORDER: dict[str, Callable[[View], str | None]] = {
    "prompt_gen": _check_prompt_gen,
    "image_gen": _check_image_gen,
    "quality_eval": _check_quality_eval,
    "knowledge_retrieval": _check_knowledge_retrieval,
    "mask_gen": _check_mask_gen,
}


def _check_arguments(view: View, call: ToolCall) -> str | None:
    wanted: dict[str, Argument] = next(arguments for name, arguments in TOOL_ARGUMENTS.items() if name == call.name)
    unknown = [name for name in call.arguments if name not in wanted]
    if unknown:
        nearest = process.extractOne(unknown[0], list(wanted))
        return (
            f"{call.name} has no argument {unknown[0]!r}; did you mean {nearest[0]!r}? Its arguments are: {', '.join(wanted)}."
        )
    for name, argument in wanted.items():
        value = call.arguments.get(name)
        if value is None:
            if argument.required:
                return f"{call.name} needs the argument {name!r}. Its arguments are: {', '.join(wanted)}."
            continue
        problem = _check_value(view, f"{call.name}.{name}", argument.kind, value)
        if problem:
            return problem
    return None


def _check_value(view: View, name: str, kind: str, value: Any) -> str | None:
    if kind == "image":
        numbers = [entry.number for entry in view.images]
        if isinstance(value, bool) or not isinstance(value, int) or value not in numbers:
            return f"{name} is the number of an image of this conversation, {_span(numbers)}; received {_short(value)}."
    elif kind == "text":
        if not isinstance(value, str) or not value.strip():
            return f"{name} is a text and must not be empty; received {_short(value)}."
        if len(value) > MAX_TEXT_CHARACTERS:
            return f"{name} may have {MAX_TEXT_CHARACTERS} characters; received {len(value)}."
    elif kind in _WHOLE:
        least, most, told = _WHOLE[kind]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            return f"{name} is a whole number from {told}; received {_short(value)}."
    else:
        try:
            DefectSpec.model_validate(value)
        except ValidationError as error:
            fault = first_fault(error, "spec")
            return f"{name} is not a valid spec: {fault}; received {_short(fault.received)}."
    return None


def _check_target(view: View, call: ToolCall) -> str | None:
    """The right images, and the item and anomaly type of the task (so that no easier question is put to the judge)."""
    arguments = call.arguments
    for name in ("image", "normal_image"):
        if arguments.get(name, 1) != 1:
            return f"{call.name}.{name} must be 1, the normal image; received {arguments[name]}."
    if call.name in ("prompt_gen", "quality_eval"):
        for name, wanted in (("item_name", view.task.item_name), ("anomaly_type", view.task.anomaly_type)):
            if arguments[name] != wanted:
                return f"{call.name}.{name} must be {wanted!r} as in the task; received {_short(arguments[name])}."
    last = view.progress.last
    if call.name == "quality_eval" and last is not None and arguments["anomaly_image"] != last.number:
        return f"The image to judge is the newest one, image {last.number}; received {arguments['anomaly_image']}."
    if call.name == "mask_gen":
        number = arguments["anomaly_image"]
        one = view.progress.round_of(number)
        if one is None or one.evaluation is None:
            return f"mask_gen.anomaly_image must be a judged anomaly image; image {number} is not."
        if last is not None and last.passed and not one.passed:
            return f"Image {last.number} passed, image {number} did not: make the mask of image {last.number}."
        if view.progress.mask_of(number) is not None:
            return f"Image {number} already has its mask: give the answer."
    return None


def _check_answer(view: View, answer: Answer) -> str | None:
    progress = view.progress
    number = answer.final_image_index
    chosen = progress.round_of(number)
    mask = progress.mask_of(number)
    if number is not None and chosen is None:
        return f"final_image_index must be the number of an anomaly image of this conversation; image {number} is none."
    if answer.mask_generated != (mask is not None):
        return f"mask_generated is {answer.mask_generated}, but image {number} has {'a' if mask else 'no'} mask."
    if answer.status == "success":
        if chosen is None or not chosen.passed:
            return "status success needs an image that passed quality_eval, named by final_image_index."
        if mask is None:
            return f"Image {number} has no mask yet: call mask_gen first."
        return None
    if progress.failed:
        return None
    last = progress.last
    if any(one.passed for one in progress.rounds):
        return "An image passed: make its mask if it has none, and answer with status success."
    if last is None or last.evaluation is None or not view.rounds_spent:
        left = view.max_rounds - len(progress.rounds)
        return f"It is too early to give up: {left} of {view.max_rounds} rounds are left, or an image was not judged."
    return None


def _span(numbers: list[int]) -> str:
    return "1" if len(numbers) <= 1 else f"{min(numbers)} to {max(numbers)}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
