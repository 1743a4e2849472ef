"""Foreign matter is opaque, differs from the surface by what the severity asks, and can fill or lie inside a cavity."""

import cv2
import numpy as np
import pytest
from helpers.sites import bore, plain_sheet, site_on

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.color import ciede2000, lab_from_rgb
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.matter.named_matter import named_matter
from anomalyagent.mcp_tools.procedural.mechanisms import contamination
from anomalyagent.mcp_tools.procedural.mechanisms.contamination import Foreign
from anomalyagent.mcp_tools.procedural.structure.cavity import find_cavity


def spec(**fields: object) -> DefectSpec:
    return DefectSpec.model_validate({"mechanism": "contamination", "severity": 8.0, **fields})


def test_foreign_matter_hides_the_surface_and_has_a_texture_of_its_own() -> None:
    hidden = 0
    for seed in range(16):
        site = site_on(plain_sheet(), (64, 64), 700)
        edit = contamination.render(site, spec(), np.random.default_rng(seed))
        assert edit is not None
        assert edit.opacity is not None
        assert edit.paint is not None
        solid = edit.opacity > 0.8
        if solid.sum() > 0.05 * site.area_px:  # what was wiped over it lets it show
            hidden += 1
            assert edit.paint[solid].std(axis=0).max() > 0.004
    assert hidden >= 9


def test_dirt_has_no_corners() -> None:
    """Every third piece of unnamed matter was a flake with four to eight straight sides."""
    cornered = 0
    for seed in range(30):
        site = site_on(plain_sheet(), (64, 64), 700)
        edit = contamination.render(site, spec(elongation=1.5), np.random.default_rng(seed))
        assert edit is not None
        assert edit.opacity is not None
        outlines, _ = cv2.findContours((edit.opacity > 0.3).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        largest = max(outlines, key=cv2.contourArea)
        sides = cv2.approxPolyDP(largest, 1.3, True)[:, 0].astype(np.float32)
        longest = np.sort(np.hypot(*(sides - np.roll(sides, 1, axis=0)).T))[::-1][:4].sum()
        compact = cv2.contourArea(largest) > 0.85 * cv2.contourArea(cv2.convexHull(largest)) and cv2.contourArea(largest) > 200
        cornered += bool(compact and longest > 0.62 * cv2.arcLength(largest, True))
    assert cornered <= 2, cornered


def test_glue_gleams() -> None:
    """Some was a matt lens, some a speckled film."""
    gleaming: list[float] = []
    for seed in range(10):
        photo = plain_sheet(level=110)
        site = site_on(photo, (64, 64), 900)
        named = named_matter("a drop of glue on the leather")
        assert named is not None
        made = render_defect(
            site.scene, spec(elongation=1.5, area_fraction=0.05, severity=9.0, seed=seed, center=(0.5, 0.5)), Foreign(named)
        )
        lightness = site.scene.lab[..., 0], Scene(made.photo).lab[..., 0]
        body = (np.abs(lightness[1] - lightness[0]) > 3.0) & made.mask
        gleaming.append(float(np.percentile(lightness[1][body], 98) - np.median(lightness[1][body])))
    assert np.percentile(gleaming, 20) > 10.0, gleaming


def test_faint_matter_is_nearly_the_colour_of_the_surface_and_gross_matter_is_not() -> None:
    medians: list[float] = []
    for severity in (2.0, 8.0, 20.0):
        contrasts: list[float] = []
        for seed in range(12):
            site = site_on(plain_sheet(grain=1.0), (64, 64), 500)
            edit = contamination.render(site, spec(severity=severity), np.random.default_rng(seed))
            assert edit is not None
            assert edit.paint is not None
            assert edit.opacity is not None
            solid = edit.opacity > 0.5
            before = site.scene.lab[edit.window.slices][solid].mean(axis=0)
            after = lab_from_rgb(edit.paint)[solid].mean(axis=0)
            contrasts.append(float(ciede2000(before, after)) / float(np.median(site.scene.jnd)))
        medians.append(float(np.median(contrasts)))
    assert 0.5 < medians[0] < 5.0
    assert medians[0] < medians[1] < medians[2]


def test_the_cavity_is_the_even_field_around_the_site() -> None:
    cavity = find_cavity(site_on(bore(), (64, 64), 900, reach=1.0))
    assert cavity is not None
    whole = np.zeros((128, 128), bool)
    whole[cavity.window.slices] = cavity.mask
    y, x = np.mgrid[:128, :128]
    assert (whole == (np.hypot(x - 64, y - 64) < 32)).mean() > 0.98


def test_a_plain_sheet_has_no_cavity() -> None:
    assert find_cavity(site_on(plain_sheet(), (64, 64), 900)) is None


def test_matter_that_fills_a_cavity_ends_at_its_border() -> None:
    y, x = np.mgrid[:128, :128]
    outside = np.hypot(x - 64, y - 64) > 36
    filled = 0
    for seed in range(20):
        site = site_on(bore(), (60, 66), 2600)
        edit = contamination.render(site, spec(area_fraction=0.2, elongation=1.0), np.random.default_rng(seed))
        assert edit is not None
        assert edit.opacity is not None
        cover = np.zeros((128, 128), np.float32)
        cover[edit.window.slices] = edit.opacity
        filled += bool(cover[~outside].mean() > 0.4 and cover[outside].max() < 0.05)
    assert filled >= 4


@pytest.mark.parametrize("kind", ["film", "drop", "haze"])
def test_the_surface_shows_through_thin_matter(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(*_: object) -> str:
        return kind

    monkeypatch.setattr(contamination, "_choose_kind", chosen)
    site = site_on(plain_sheet(grain=8.0), (64, 64), 1500)
    translucent = 0
    for seed in range(8):
        edit = contamination.render(site, spec(), np.random.default_rng(seed))
        assert edit is not None
        assert edit.opacity is not None
        assert not edit.strength_fixed
        inside = edit.opacity > 0.1
        assert inside.sum() > 0.3 * site.area_px
        translucent += float(np.median(edit.opacity[inside])) < 0.9
    assert translucent >= 5


def test_a_cloud_in_a_hollow_is_left_out_where_it_would_look_like_a_reflection() -> None:
    site = site_on(bore(), (64, 64), 300)
    assert find_cavity(site) is not None
    for seed in range(40):
        edit = contamination.render(site, spec(severity=3.0), np.random.default_rng(seed))
        assert edit is not None
        assert edit.opacity is not None
        steepest = max(float(np.abs(np.diff(edit.opacity, axis=axis)).max()) for axis in (0, 1))
        assert steepest > 0.06


@pytest.mark.parametrize("seed", range(6))
def test_a_bubble_has_a_smooth_round_outline_a_dark_rim_and_a_glint(seed: int) -> None:
    """Bubbles in capsules were pale flakes with a jagged border."""
    matter = named_matter('one deposit of foreign matter ("bubble") on the capsules')
    assert matter is not None
    site = site_on(plain_sheet(), (64, 64), 900)
    edit = Foreign(matter).render(site, spec(elongation=1.0), np.random.default_rng(seed))
    assert edit is not None
    assert edit.opacity is not None
    assert edit.paint is not None
    assert edit.shadow is None
    shape = (edit.opacity > 0.15).astype(np.uint8)
    outline = max(cv2.findContours(shape, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], key=len)
    area = cv2.contourArea(outline)
    assert area / cv2.contourArea(cv2.convexHull(outline)) > 0.95
    depth = cv2.distanceTransform(shape, cv2.DIST_L2, 3)
    light = edit.paint.mean(axis=2)
    rim, middle = light[(depth > 0) & (depth < 0.2 * depth.max())], light[depth > 0.4 * depth.max()]
    assert np.median(rim) < np.median(middle) - 0.05
    assert light.max() > np.median(middle) + 0.1
