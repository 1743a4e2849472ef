"""Discoloration shifts the surface's own colour, softly; grey photos stay grey."""

from typing import Any

import cv2
import numpy as np
import pytest
from helpers.sites import draw, plain_sheet, site_on

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.imaging.change import visible_change
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import grain_noise
from anomalyagent.mcp_tools.procedural.mechanisms import discoloration
from anomalyagent.mcp_tools.procedural.mechanisms.discoloration import Shifted, names_heat


def spec(**fields: object) -> DefectSpec:
    return DefectSpec.model_validate({"mechanism": "discoloration", "severity": 8.0, **fields})


@pytest.mark.parametrize("seed", range(8))
def test_a_grey_photo_gets_no_colour(seed: int) -> None:
    edit = discoloration.render(site_on(plain_sheet(), (64, 64), 1500), spec(), np.random.default_rng(seed))
    assert edit is not None
    assert edit.log_reflectance is not None
    assert float(np.ptp(edit.log_reflectance, axis=2).max()) < 1e-5


@pytest.mark.parametrize("seed", range(8))
def test_most_of_the_border_of_a_cloud_is_soft(seed: int) -> None:
    site = site_on(plain_sheet(grain=0.5), (64, 64), 1500)
    edit = discoloration.render(site, spec(area_fraction=0.01), np.random.default_rng(seed))
    assert edit is not None
    assert edit.log_reflectance is not None
    change = np.abs(edit.log_reflectance[..., 1])
    steps = np.abs(np.diff(change, axis=0))[edit.support[1:]]
    assert np.percentile(steps, 90) < 0.25 * np.percentile(change[edit.support], 99)


def test_streaks_need_a_grain_that_runs_through_the_whole_area(monkeypatch: pytest.MonkeyPatch) -> None:
    streaked: list[int] = []

    def counted(*given: Any, **named: Any) -> Field:
        streaked[-1] += 1
        return grain_noise(*given, **named)

    monkeypatch.setattr(discoloration, "grain_noise", counted)
    y, x = np.mgrid[:128, :128]
    rings = np.repeat((120 + 60 * np.sin(np.hypot(x - 64, y - 64) / 4))[..., None], 3, axis=2).astype(np.uint8)
    for photo in (rings, plain_sheet()):
        photo[..., 2] += 20  # in colour
        streaked.append(0)
        for seed in range(40):
            assert discoloration.render(site_on(photo, (64, 44), 1500), spec(), np.random.default_rng(seed)) is not None
    assert 3 * streaked[0] < streaked[1]


def test_neutral_metal_can_show_temper_colours_and_other_bodies_cannot() -> None:
    tinted = plain_sheet()
    tinted[..., 2] = np.minimum(tinted[..., 2] + 8, 255)
    most: list[float] = []
    for render in (discoloration.render, Shifted().render):
        spread: list[float] = []
        for seed in range(30):
            edit = render(site_on(tinted, (64, 64), 1500), spec(), np.random.default_rng(seed))
            assert edit is not None
            assert edit.log_reflectance is not None
            hue = edit.log_reflectance[..., 0] - edit.log_reflectance[..., 2]
            spread.append(float(hue.max()) * float(-hue.min()))
        most.append(max(spread))
    assert most[0] > 0.02  # red-yellow at one place and blue at another of the same spot
    assert most[1] < 0.005


def test_words_of_metals_and_heat() -> None:
    assert names_heat("a discoloration on the steel_plate")
    assert names_heat("heat tint beside the seam")
    assert not names_heat("a discoloration on the concrete slab")
    assert not names_heat("a pale patch on the wooden panel")


def test_the_background_keeps_its_colour() -> None:
    photo = np.full((128, 128, 3), 20, np.uint8)
    photo[:, :64] = plain_sheet()[:, :64]
    site = site_on(photo, (56, 64), 1500)
    assert not site.scene.fills_frame
    edit = discoloration.render(site, spec(), np.random.default_rng(1))
    assert edit is not None
    assert not (edit.support & ~site.scene.foreground[edit.window.slices]).any()


def test_a_patch_has_a_clear_outline_and_weakens_the_texture_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(*_: object, **_named: object) -> str:
        return "patch"

    monkeypatch.setattr(discoloration, "_choose_kind", chosen)
    site = site_on(plain_sheet(grain=10.0), (64, 64), 1600)
    clear = 0
    for seed in range(6):
        edit = discoloration.render(site, spec(color_shift=(-12.0, 0.0, 0.0)), np.random.default_rng(seed))
        assert edit is not None
        assert edit.log_reflectance is not None
        before = site.scene.photo.rgb[edit.window.slices]
        after = draw(site, edit)[edit.window.slices]
        inside = cv2.erode((edit.log_reflectance[..., 0] < -0.1).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        assert inside.any()

        def texture(rgb: np.ndarray, where: np.ndarray = inside) -> float:
            logs = np.log(rgb[..., 0] + 0.01)
            return float((logs - cv2.blur(logs, (9, 9)))[where].std())

        assert texture(after) < 0.9 * texture(before)
        smooth = cv2.blur(edit.log_reflectance[..., 0], (3, 3))
        clear += float(np.abs(np.diff(smooth, axis=0)).max()) > 0.03
    assert clear >= 4


def test_what_grinding_missed_has_none_of_its_lines() -> None:
    """On a ground face soft clouds, with the lines running on through them, cannot be told from uneven light."""
    rng = np.random.default_rng(5)
    lines = 120 + 25 * rng.normal(0, 1, 128)[None, :] + rng.normal(0, 2, (128, 128))
    ground = np.repeat(np.clip(lines, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    site = site_on(ground, (64, 64), 2400)
    bare = 0
    for seed in range(20):
        edit = discoloration.render(site, spec(elongation=1.3, color_shift=(-8.0, 0.0, 0.0)), np.random.default_rng(seed))
        assert edit is not None
        assert edit.log_reflectance is not None
        change = cv2.blur(edit.log_reflectance[..., 1], (15, 15))
        inside = change < 0.8 * change.min()
        before, after = (np.log(rgb[edit.window.slices][..., 1] + 0.01) for rgb in (site.scene.photo.rgb, draw(site, edit)))
        left = np.diff(after, axis=1)[inside[:, 1:]].std() / np.diff(before, axis=1)[inside[:, 1:]].std()
        bare += left < 0.5
    assert bare >= 10


def test_areas_that_meet_are_one_and_not_darker_where_they_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(*_: object, **_named: object) -> str:
        return "patch"

    monkeypatch.setattr(discoloration, "_choose_kind", chosen)
    scene = Scene(photo_from_array(plain_sheet(grain=0.5, size=192)))
    wanted = spec(area_fraction=0.6, count=6, elongation=3.0, color_shift=(-14.0, 0.0, 0.0), severity=9.0)
    for seed in range(4):
        made = render_defect(scene, wanted.model_copy(update={"seed": seed}))
        change = visible_change(scene.photo, made.photo)[made.mask]
        assert np.percentile(change, 99.5) < 1.5 * np.percentile(change, 60), seed  # where two met it was twice as dark


def test_an_area_with_a_clear_outline_is_no_ellipse(monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(*_: object, **_named: object) -> str:
        return "patch"

    monkeypatch.setattr(discoloration, "_choose_kind", chosen)
    site = site_on(plain_sheet(grain=1.0), (64, 64), 1600)
    overlap: list[float] = []
    for seed in range(12):
        edit = discoloration.render(site, spec(color_shift=(-12.0, 0.0, 0.0), elongation=2.0), np.random.default_rng(seed))
        assert edit is not None
        assert edit.log_reflectance is not None
        inside = (edit.log_reflectance[..., 0] < -0.05).astype(np.uint8)
        outline = max(cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], key=len)
        oval = np.zeros_like(inside)
        cv2.ellipse(oval, cv2.fitEllipse(outline), 1, -1)
        overlap.append(float((inside & oval).sum() / (inside | oval).sum()))
    assert np.median(overlap) < 0.85


def test_a_band_that_ends_where_the_photo_does_is_not_much_wider_than_asked() -> None:
    noise = np.random.default_rng(3).normal(0.0, 3.0, (160, 160, 1))
    cloth = Scene(photo_from_array(np.clip(np.array([185.0, 85.0, 190.0]) + noise, 0, 255).astype(np.uint8)))
    spec = DefectSpec(mechanism="discoloration", area_fraction=0.18, elongation=4.0, severity=10.0, color_shift=(3.7, 3.8, 7.6))
    for seed in range(24):
        made = render_defect(cloth, spec.model_copy(update={"seed": seed}))
        assert made.mask.mean() < 0.34


def test_what_has_bleached_or_fogged_is_pale_blue_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    def fogged(*_: object) -> tuple[float, float, float]:
        return 7.0, -1.0, -6.0

    monkeypatch.setattr(discoloration, "_choose_shift", fogged)
    painted = plain_sheet(160, 165)
    painted[..., 2] -= 2  # in colour
    scene = Scene(photo_from_array(painted))
    for seed in range(6):
        made = render_defect(scene, spec(area_fraction=0.05, severity=11.0, seed=seed), Shifted())
        before, after = (cv2.cvtColor(photo.rgb, cv2.COLOR_RGB2Lab) for photo in (scene.photo, made.photo))
        assert float((after - before)[..., 2].min()) > -13.0


def test_what_fades_keeps_a_rest_of_its_own_hue(monkeypatch: pytest.MonkeyPatch) -> None:
    def bleached(near: Any, *_: object) -> tuple[float, float, float]:
        return 16.0, -0.5 * float(near.lab[1]), -0.5 * float(near.lab[2])

    monkeypatch.setattr(discoloration, "_choose_shift", bleached)
    rng = np.random.default_rng(0)
    grain = cv2.GaussianBlur(rng.normal(0.0, 1.0, (160, 160, 1)), (0, 0), 0.8, sigmaY=8.0)[..., None]
    wood = Scene(photo_from_array(np.clip(np.array([160.0, 112.0, 68.0]) * (1.0 + 0.5 * grain), 0, 255).astype(np.uint8)))
    for seed in range(6):
        made = render_defect(wood, spec(area_fraction=0.05, severity=12.0, seed=seed))
        tint = cv2.cvtColor(made.photo.rgb, cv2.COLOR_RGB2Lab)[made.mask]
        assert float(np.percentile(tint[:, 2], 2)) > 3.0  # grey on brown looks blue
