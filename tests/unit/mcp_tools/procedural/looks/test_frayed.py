"""Ends of yarn stand into a hole or a cut in cloth, and into no other."""

import numpy as np
import pytest
from helpers.photos import make_photo

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Site
from anomalyagent.mcp_tools.procedural.looks.frayed import Frayed, names_cloth
from anomalyagent.mcp_tools.procedural.mechanisms import cut, hole
from anomalyagent.mcp_tools.procedural.named_renderer import named_renderer
from anomalyagent.mcp_tools.procedural.placement import extent_of, window_around

SCENE = Scene(photo_from_array(make_photo("surface", size=240)))


def _site(area_px: float, elongation: float) -> Site:
    window = window_around(SCENE, (120.0, 120.0), extent_of(SCENE, area_px, elongation), 0.4)
    return Site(SCENE, (120.0, 120.0), area_px, 0.4, window)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("mechanism", "elongation"), [(hole, 1.2), (cut, 5.0)])
def test_part_of_the_opening_is_cloth_again(mechanism: object, elongation: float, seed: int) -> None:
    spec = DefectSpec(
        mechanism="hole" if mechanism is hole else "cut", area_fraction=0.02, elongation=elongation, severity=12.0
    )
    site = _site(1400.0, elongation)
    clean = (hole if mechanism is hole else cut).render(site, spec, np.random.default_rng(seed))
    frayed = Frayed(hole if mechanism is hole else cut).render(site, spec, np.random.default_rng(seed))
    assert clean is not None
    assert frayed is not None
    assert clean.opened is not None
    assert frayed.opened is not None
    inside = clean.opened > 0.7
    closed = inside & (frayed.opened < 0.35)
    assert 0.02 < closed.sum() / inside.sum() < 0.6
    assert (frayed.opened <= clean.opened + 1e-6).all()
    assert (frayed.support == clean.support).all()


def test_a_pinhole_has_no_room_for_yarns() -> None:
    spec = DefectSpec(mechanism="hole", area_fraction=0.0002, elongation=1.0, severity=12.0)
    clean, frayed = (one.render(_site(7.0, 1.0), spec, np.random.default_rng(0)) for one in (hole, Frayed(hole)))
    assert clean is not None
    assert frayed is not None
    assert frayed.opened is not None
    assert clean.opened is not None
    assert (frayed.opened == clean.opened).all()


def test_only_cloth_frays() -> None:
    spec = DefectSpec(mechanism="hole", area_fraction=0.01, elongation=1.2, severity=12.0)
    assert isinstance(named_renderer(SCENE, spec, 'one hole ("moth hole") on the carpet'), Frayed)
    assert named_renderer(SCENE, spec, "one hole on the steel plate") is None
    assert names_cloth("a tear in the woven shirt")
    assert names_cloth("a hole in the jute sack")
    assert names_cloth("a hole in the nonwoven")
    assert not names_cloth("a hole in the leather seat")
