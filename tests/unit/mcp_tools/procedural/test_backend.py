"""The image_gen backend around the engine."""

import numpy as np
from helpers.photos import make_photo

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.backends.procedural import ProceduralImageGen
from anomalyagent.mcp_tools.imaging.photo import photo_from_array

PHOTO = photo_from_array(make_photo("part", 0, 128))


def test_a_spec_is_drawn_with_the_seed_of_the_call() -> None:
    spec = DefectSpec(mechanism="scratch", elongation=25, area_fraction=0.02, seed=1)
    edited = ProceduralImageGen().edit(PHOTO, "ignored: a large dent", spec, 7)
    assert edited.spec is not None
    assert edited.spec.mechanism == "scratch"
    assert edited.spec.seed == 7
    assert np.array_equal(edited.photo.native[~edited.changed], PHOTO.native[~edited.changed])
    assert edited.cost_usd == 0.0


def test_without_a_spec_the_prompt_is_read() -> None:
    edited = ProceduralImageGen().edit(PHOTO, "Add a dark crack across the metal surface.", None, 3)
    assert edited.spec is not None
    assert edited.spec.mechanism == "crack"
    assert edited.changed.any()


def test_an_area_that_could_not_be_met_is_told() -> None:
    spec = DefectSpec(mechanism="hole", area_fraction=1e-5, severity=12)
    edited = ProceduralImageGen().edit(PHOTO, "", spec, 0)
    assert any("visible area" in note for note in edited.notes)
