"""What every backend of prompt_gen and quality_eval must keep, whether it measures, samples or asks a model."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.photos import make_photo
from helpers.services import Asked, Reply, Service, chat_reply

from anomalyagent.configs.schema import Settings
from anomalyagent.errors import ToolInputError
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.backends.base import PromptGenBackend, QualityEvalBackend
from anomalyagent.mcp_tools.imaging.photo import Photo, photo_from_array
from anomalyagent.mcp_tools.registry import BACKENDS, create_backend

CASES: dict[str, tuple[str, str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "template": ("prompt_gen", "template", lambda _: {}),
    "chat": ("prompt_gen", "chat", lambda model: model),
    "features": ("quality_eval", "features", lambda _: {}),
    "vlm": ("quality_eval", "vlm", lambda model: model),
    "vlm-schema": ("quality_eval", "vlm", lambda model: {**model, "structured": "schema"}),
    "ensemble": (
        "quality_eval",
        "ensemble",
        lambda model: {"judges": [{"backend": "features"}, {"backend": "vlm", "options": model}]},
    ),
}
WRITERS = [name for name, case in CASES.items() if case[0] == "prompt_gen"]
JUDGES = [name for name, case in CASES.items() if case[0] == "quality_eval"]
Make = Callable[[str], Any]


@pytest.fixture(scope="module")
def make() -> Iterator[Make]:
    """Makes the backend of a case; models are a local server that answers by what it is asked for."""

    def reply(asked: Asked) -> Reply:
        messages = asked.fields["messages"]
        if "location_score" in str(messages[0]["content"]):
            verdict = {"location_score": 3.5, "quality_score": 2.5, "findings": [], "review": "Rather real."}
            return chat_reply(json.dumps(verdict))
        variant = int(str(messages[1]["content"][-1]["text"]).rpartition(" ")[2])
        where = ("left", "right")[variant % 2]
        text = f"Add a dark oil stain of {1 + variant % 5} % of the object in its {where} part. Keep everything else unchanged."
        return chat_reply(json.dumps({"prompt": text}))

    with Service([reply]) as service:

        def of(name: str) -> Any:
            tool, backend, options = CASES[name]
            model = {"model": "openai:local", "base_url": f"{service.url}/v1", "image_px": 96}
            tools = {tool: {"backend": backend, "options": options(model)}}
            chosen: Any = tool
            return create_backend(chosen, Settings.model_validate({"tools": tools}))

        yield of


def photo_of(kind: str) -> Photo:
    rgb = make_photo("part", 1, 96)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    natives: dict[str, Any] = {"rgb": rgb, "grey": grey, "grey16": grey.astype(np.uint16) * 16}
    return photo_from_array(natives[kind])


def stained(normal: Photo) -> Photo:
    where = np.zeros(normal.shape, np.uint8)
    cv2.circle(where, (24, 48), 6, 1, -1)
    return normal.edited((normal.rgb * 0.4).astype(np.float32), where > 0)


def test_every_shipped_backend_has_a_case_here() -> None:
    for tool in ("prompt_gen", "quality_eval"):
        assert {backend for of, backend, _ in CASES.values() if of == tool} == set(BACKENDS[tool])


@pytest.mark.parametrize("kind", ["rgb", "grey", "grey16"])
@pytest.mark.parametrize("name", WRITERS)
def test_a_prompt_comes_with_a_spec_that_says_the_same(name: str, kind: str, make: Make) -> None:
    writer: PromptGenBackend = make(name)
    first, again, other = (writer.write_prompt(photo_of(kind), "metal ring", "oil stain", seed) for seed in (4, 4, 5))
    assert first == again
    assert first.prompt != other.prompt
    assert 20 <= len(first.prompt) <= 4000
    assert isinstance(first.spec, DefectSpec)
    assert (first.spec.mechanism, first.spec.seed, first.backend) == ("stain", 4, writer.name)
    assert first.cost_usd >= 0


@pytest.mark.parametrize("kind", ["rgb", "grey", "grey16"])
@pytest.mark.parametrize("name", JUDGES)
def test_a_judgement_is_its_scores_and_they_alone_decide(name: str, kind: str, make: Make) -> None:
    judge: QualityEvalBackend = make(name)
    normal = photo_of(kind)
    result = judge.judge(normal, stained(normal), "metal ring", "oil stain", 5.0)
    assert 0 <= result.location_score <= 5
    assert 0 <= result.quality_score <= 5
    assert result.score == pytest.approx(result.location_score + result.quality_score, abs=0.011)
    assert result.review.strip()
    assert result.backend == judge.name
    for threshold in (0.0, result.score, 9.9):
        again = judge.judge(normal, stained(normal), "metal ring", "oil stain", threshold)
        assert again.passed == (again.score > threshold)
        assert (again.score, again.threshold) == (result.score, threshold)


@pytest.mark.parametrize("name", JUDGES)
def test_nothing_changed_is_nothing_to_pass(name: str, make: Make) -> None:
    judge: QualityEvalBackend = make(name)
    normal = photo_of("rgb")
    result = judge.judge(normal, normal, "metal ring", "oil stain", 0.0)
    assert (result.score, result.passed, result.findings[0].name) == (0.0, False, "no_visible_change")


@pytest.mark.parametrize("name", JUDGES)
def test_photos_of_different_sizes_are_refused(name: str, make: Make) -> None:
    judge: QualityEvalBackend = make(name)
    small = photo_from_array(np.ascontiguousarray(make_photo("part", 1, 96)[:80]))
    with pytest.raises(ToolInputError, match="different sizes"):
        judge.judge(photo_of("rgb"), small, "metal ring", "oil stain", 5.0)
