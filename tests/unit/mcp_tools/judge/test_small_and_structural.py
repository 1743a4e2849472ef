"""Defects that the judge used to refuse whatever one drew: hairlines, dark specks, parts that are gone or bent."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from anomalyagent.configs.schema import KnowledgeSettings
from anomalyagent.knowledge.spec import DefectSpec, Mechanism
from anomalyagent.mcp_tools.backends.features import FeatureJudge
from anomalyagent.mcp_tools.backends.procedural import ProceduralImageGen
from anomalyagent.mcp_tools.backends.template import TemplatePromptGen
from anomalyagent.mcp_tools.contracts import QualityResult
from anomalyagent.mcp_tools.imaging.photo import Photo, photo_from_array, read_photo

NORMALS = Path(__file__).parents[4] / "examples" / "normals"


def _photo(folder: str) -> Photo:
    native = read_photo(sorted((NORMALS / folder).glob("*.jpg"))[0]).native
    return photo_from_array(np.asarray(cv2.resize(native, (256, 256), interpolation=cv2.INTER_AREA)))


def _draw_and_judge(folder: str, item: str, anomaly_type: str, seeds: range) -> list[QualityResult]:
    photo, knowledge = _photo(folder), KnowledgeSettings()
    writer, painter, judge = TemplatePromptGen({}, knowledge), ProceduralImageGen(), FeatureJudge({}, knowledge)
    found: list[QualityResult] = []
    for seed in seeds:
        asked = writer.write_prompt(photo, item, anomaly_type, seed)
        drawn = painter.edit(photo, asked.prompt, asked.spec, seed).photo
        found.append(judge.judge(photo, drawn, item, anomaly_type, 7.0))
    return found


@pytest.mark.parametrize(
    ("folder", "item", "anomaly_type"),
    [
        ("tablet", "white tablet", "hair"),
        ("tablet", "white tablet", "black speck"),
        ("connector", "connector", "bent pin"),
        ("connector", "connector", "missing pin"),
    ],
)
def test_well_drawn_ones_mostly_pass(folder: str, item: str, anomaly_type: str) -> None:
    judged = _draw_and_judge(folder, item, anomaly_type, range(6))
    assert sum(one.passed for one in judged) >= 4, [one.review for one in judged]


@pytest.mark.parametrize(("drawn", "elongation"), [("scratch", 25.0), ("fibre", 40.0)])
def test_a_wrong_shape_is_told_with_a_range_only_where_the_range_is_missed(drawn: Mechanism, elongation: float) -> None:
    """A round speck was refused with "it should be 1 to 3.5 times as long as wide; it is 1.2 times"."""
    photo, judge = _photo("steel_plate"), FeatureJudge({}, KnowledgeSettings())
    told: list[str] = []
    for seed in range(8):
        spec = DefectSpec(mechanism=drawn, area_fraction=0.004, elongation=elongation, severity=14)
        judged = judge.judge(photo, ProceduralImageGen().edit(photo, "", spec, seed).photo, "leather", "colour stain", 7.0)
        told += [finding.message for finding in judged.findings if finding.name == "wrong_shape"]
    assert told
    for message in told:
        numbers = re.search(r"([\d.]+) to ([\d.]+) times as long as wide, it is ([\d.]+) times", message)
        if numbers is None:
            assert "it looks more like a" in message
        else:
            low, high, found = map(float, numbers.groups())
            assert not low < found < high, message
