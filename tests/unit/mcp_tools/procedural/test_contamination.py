"""Foreign matter is opaque, differs from the surface by what the severity asks, and can fill or lie inside a cavity."""

import cv2
import numpy as np
import pytest
from helpers.sites import plain_sheet, site_on

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.color import ciede2000, lab_from_rgb
from anomalyagent.mcp_tools.procedural.cavity import find_cavity
from anomalyagent.mcp_tools.procedural.mechanisms import contamination


def spec(**fields: object) -> DefectSpec:
    return DefectSpec.model_validate({"mechanism": "contamination", "severity": 8.0, **fields})


def bore(size: int = 128) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    sheet = plain_sheet(size, 170)
    cv2.circle(sheet, (size // 2, size // 2), size // 4, (30, 30, 30), -1, cv2.LINE_AA)
    return sheet


@pytest.mark.parametrize("seed", range(8))
def test_foreign_matter_hides_the_surface_and_has_a_texture_of_its_own(seed: int) -> None:
    site = site_on(plain_sheet(), (64, 64), 700)
    edit = contamination.render(site, spec(), np.random.default_rng(seed))
    assert edit is not None
    assert edit.opacity is not None
    assert edit.paint is not None
    solid = edit.opacity > 0.8
    assert solid.sum() > 0.05 * site.area_px
    assert edit.paint[solid].std(axis=0).max() > 0.004


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
