"""image_gen draws again while its own check finds a drawing too poor, pays for all of them and loses none that is good."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.photos import make_photo
from helpers.workspaces import make_workspace
from mcp import Client

from anomalyagent.configs.schema import Settings
from anomalyagent.errors import BackendError
from anomalyagent.mcp_tools.backends.base import Edited
from anomalyagent.mcp_tools.contracts import MOST_TRIES, ImageResult
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.redrawing import Kept, draw_until_good
from anomalyagent.mcp_tools.server import build_server


class Drawer:
    """Drawing n costs a cent and ten tokens and has the n-th score; a score of None is a drawing that fails."""

    def __init__(self, *scores: float | None) -> None:
        self.scores = scores
        self.seeds: list[int] = []
        self.checked: list[Edited] = []

    def draw(self, seed: int) -> Edited:
        self.seeds.append(seed)
        if self.scores[len(self.seeds) - 1] is None:
            raise BackendError("no room", cost_usd=0.02, tokens=5)
        photo = photo_from_array(make_photo("part", size=32))
        return Edited(photo, np.zeros(photo.shape, bool), None, cost_usd=0.01, tokens=10, notes=[f"seed {seed}"])

    def check(self, edited: Edited) -> float:
        self.checked.append(edited)
        drawn = [score for score in self.scores if score is not None]
        return drawn[len(self.checked) - 1]

    def keep(self, tries: int, seed: int = 40) -> Kept:
        return draw_until_good(self.draw, self.check, seed=seed, tries=tries, enough=8.0)


def test_one_try_draws_once_and_checks_nothing() -> None:
    drawer = Drawer(1.0)
    assert drawer.keep(1).drawings == 1
    assert (drawer.seeds, drawer.checked) == ([40], [])


@pytest.mark.parametrize(
    ("scores", "seeds", "kept"),
    [
        ((8.4,), [40], 40),
        ((7.0, 8.4), [40, 41], 41),
        ((8.0, 7.0, 7.5), [40, 41, 42], 40),
        ((3.0, 7.0, 5.0), [40, 41, 42], 41),
    ],
)
def test_it_stops_at_the_first_above_the_mark_and_keeps_the_best_where_there_is_none(
    scores: Sequence[float], seeds: list[int], kept: int
) -> None:
    drawer = Drawer(*scores)
    found = drawer.keep(3)
    assert drawer.seeds == seeds
    assert (found.seed, found.drawings) == (kept, len(seeds))
    assert found.edited.notes[0] == f"seed {kept}"
    assert found.edited.cost_usd == pytest.approx(0.01 * len(seeds))
    assert found.edited.tokens == 10 * len(seeds)
    assert len(found.edited.notes) == (1 if len(seeds) == 1 else 2)


def test_a_later_drawing_that_fails_costs_its_money_and_no_finished_one() -> None:
    found = Drawer(3.0, None).keep(4)
    assert (found.seed, found.drawings) == (40, 1)
    assert found.edited.cost_usd == pytest.approx(0.03)
    assert found.edited.tokens == 15
    assert "drawing 2 failed: no room" in found.edited.notes
    with pytest.raises(BackendError, match="no room"):
        Drawer(None, 9.0).keep(4)


def test_seeds_stay_in_their_range() -> None:
    drawer = Drawer(1.0, 1.0)
    drawer.keep(2, seed=2**63 - 1)
    assert drawer.seeds == [2**63 - 1, 0]


async def _call(root: Path, threshold: float, **arguments: Any) -> ImageResult:
    settings = Settings.model_validate({"tools": {"quality_eval": {"threshold": threshold}}})
    async with Client(build_server(("image_gen",), settings, make_workspace(root))) as client:
        answer = await client.call_tool("image_gen", {"image": "part.png", "prompt": "a deep scratch", **arguments})
    assert not answer.is_error, answer.content
    return ImageResult.model_validate(answer.structured_content)


async def test_the_tool_draws_as_often_as_it_may_and_its_seed_draws_the_same_again(tmp_path: Path) -> None:
    names = {"item_name": "metal nut", "anomaly_type": "scratch"}
    found = await _call(tmp_path, 10.0, seed=7, tries=3, **names)
    assert found.drawings == 3
    assert found.seed in (7, 8, 9)
    scores = [float(part) for part in found.notes[-1].rpartition("(")[2].rstrip(")").split(", ")]
    assert len(scores) == 3
    assert found.seed == 7 + scores.index(max(scores))
    again = await _call(tmp_path, 10.0, seed=found.seed)
    assert (again.image, again.drawings) == (found.image, 1)


async def test_the_tool_is_content_with_a_good_drawing_and_needs_no_names(tmp_path: Path) -> None:
    assert (await _call(tmp_path, 0.0, seed=7, tries=MOST_TRIES)).drawings == 1
    assert (await _call(tmp_path, 10.0, seed=7, tries=2)).drawings == 2


async def test_the_check_is_the_one_by_measurement_whatever_judges_in_quality_eval(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {"tools": {"quality_eval": {"backend": "vlm", "options": {"model": "nobody:nothing"}, "threshold": 10.0}}}
    )
    async with Client(build_server(("image_gen",), settings, make_workspace(tmp_path))) as client:
        answer = await client.call_tool("image_gen", {"image": "part.png", "prompt": "a scratch", "tries": 2})
    assert ImageResult.model_validate(answer.structured_content).drawings == 2


@pytest.mark.parametrize("tries", [0, MOST_TRIES + 1, "many"])
async def test_a_wrong_number_of_tries_is_told(tmp_path: Path, tries: Any) -> None:
    async with Client(build_server(("image_gen",), Settings(), make_workspace(tmp_path))) as client:
        answer = await client.call_tool("image_gen", {"image": "part.png", "prompt": "a scratch", "tries": tries})
    assert answer.is_error
    assert "tries" in json.dumps([block.model_dump(mode="json") for block in answer.content])
