"""Mechanisms that act on parts are placed on parts; whole objects stay in the frame; parts are drawn once."""

import cv2
import numpy as np
import pytest
from helpers.sites import comb, labelled_sheet, plain_sheet, site_on

from anomalyagent.knowledge.spec import DefectSpec, Mechanism
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.mechanisms import missing
from anomalyagent.mcp_tools.procedural.parts.axis import axis_of
from anomalyagent.mcp_tools.procedural.parts.protrusions import protrusions_of
from anomalyagent.mcp_tools.procedural.parts.search import find_protrusions


def shaded_comb() -> Scene:
    """A body with five leads that cast soft shadows to the right on a pale bench."""
    native = comb(192).astype(np.float32)
    pale = native.min(axis=2) > 180
    shadow = cv2.GaussianBlur(np.roll((~pale).astype(np.float32), (3, 5), (0, 1)), (0, 0), 2.0)
    native[pale] *= 1.0 - 0.3 * shadow[pale][:, None]
    return Scene(photo_from_array(np.clip(native, 0, 255).astype(np.uint8)))


def test_all_leads_of_a_comb_are_found_and_a_disc_has_none() -> None:
    assert len(protrusions_of(shaded_comb())) == 5
    y, x = np.mgrid[:128, :128]
    disc = np.where(np.hypot(x - 64, y - 64)[..., None] < 40, 60, 220).astype(np.uint8) * np.ones(3, np.uint8)
    assert not protrusions_of(Scene(photo_from_array(disc)))
    assert not protrusions_of(Scene(photo_from_array(plain_sheet())))


def test_a_neck_between_two_bodies_is_no_protrusion_and_a_handle_neither() -> None:
    dumbbell = np.full((160, 200, 3), 215, np.uint8)
    cv2.rectangle(dumbbell, (60, 74), (140, 86), (60, 62, 66), -1)
    for x in (45, 155):
        cv2.circle(dumbbell, (x, 80), 30, (60, 62, 66), -1)
    cup = np.full((160, 200, 3), 215, np.uint8)
    cv2.ellipse(cup, (120, 80), (36, 30), 0, 0, 360, (60, 62, 66), 8)
    cv2.rectangle(cup, (30, 30), (110, 130), (60, 62, 66), -1)
    for native in (dumbbell, cup):
        scene = Scene(photo_from_array(native))
        assert not protrusions_of(scene)
        assert not find_protrusions(site_on(native, (100, 80), 900))


def test_a_print_in_line_with_a_lead_is_no_part_of_it() -> None:
    native = comb(192)
    x = 192 // 6 + 2 * (192 // 6) + 3  # the third lead
    cv2.rectangle(native, (x - 5, 36), (x + 5, 52), (190, 190, 190), -1)
    scene = Scene(photo_from_array(native))
    lead = min(protrusions_of(scene), key=lambda part: abs(part.center_xy[0] - x))
    assert axis_of(scene, lead).back < 25  # the body begins 96 pixels down, the print ends 44 above that


@pytest.mark.parametrize("mechanism", ["bend", "missing"])
@pytest.mark.parametrize("zone", ["any", "interior"])
def test_a_lead_is_bent_or_lost_wherever_the_zone_is(mechanism: Mechanism, zone: str) -> None:
    scene = shaded_comb()
    for seed in range(5):
        spec = DefectSpec.model_validate(
            {"mechanism": mechanism, "zone": zone, "area_fraction": 0.03, "severity": 10.0, "seed": seed}
        )
        mask = render_defect(scene, spec).mask
        assert mask[100:].sum() > 0.8 * mask.sum()  # the leads hang below row 96


def test_a_lost_lead_leaves_nothing_behind() -> None:
    scene = shaded_comb()
    native = scene.photo.native.astype(int)
    brown = (native[..., 0] - native[..., 2]) > 30
    for seed in range(4):
        spec = DefectSpec(mechanism="missing", area_fraction=0.04, severity=10.0, seed=seed)
        result = render_defect(scene, spec)
        after = result.photo.native.astype(int)
        lost = brown & ~((after[..., 0] - after[..., 2]) > 30)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(brown.astype(np.uint8))
        shares = [lost[labels == i].mean() for i in range(1, len(stats)) if stats[i, cv2.CC_STAT_AREA] > 50]
        assert max(shares) > 0.97
        assert sorted(shares)[-2] < 0.05
        x = round(float(np.nonzero(lost)[1].mean()))
        gap = after[110:160, x - 4 : x + 8].mean(axis=2)
        assert gap.min() > 150  # neither outline nor shadow


def test_a_given_centre_wins_over_parts() -> None:
    scene = shaded_comb()
    spec = DefectSpec(mechanism="bend", center=(0.5, 0.2), area_fraction=0.02, severity=10.0, seed=1)
    mask = render_defect(scene, spec).mask
    assert mask[:96].sum() > 0.8 * mask.sum()


def test_a_print_fault_is_placed_on_the_print() -> None:
    scene = Scene(photo_from_array(labelled_sheet(192)))
    bars = scene.photo.native[..., 2].astype(int) - scene.photo.native[..., 0] > 60
    near = cv2.dilate(bars.astype(np.uint8), np.ones((25, 25), np.uint8)) > 0
    hits = 0
    for seed in range(6):
        spec = DefectSpec(mechanism="print", area_fraction=0.01, severity=12.0, seed=seed)
        mask = render_defect(scene, spec).mask
        hits += bool(near[mask].mean() > 0.9)
    assert hits >= 5


def test_a_swapped_object_stays_in_the_frame_and_keeps_its_size() -> None:
    photo = np.full((160, 160, 3), 40, np.uint8)
    cv2.fillPoly(photo, [np.array([[30, 40], [130, 55], [110, 120], [45, 105]])], (190, 185, 180))
    scene = Scene(photo_from_array(cv2.GaussianBlur(photo, (0, 0), 0.8)))
    for seed in range(6):
        spec = DefectSpec(mechanism="swap", area_fraction=0.5, severity=10.0, seed=seed)
        after = render_defect(scene, spec).photo
        bright = after.rgb[..., 0] > 0.45
        before = scene.photo.rgb[..., 0] > 0.45
        assert abs(int(bright.sum()) - int(before.sum())) < 0.04 * before.sum()
        assert not bright[0].any()
        assert not bright[:, 0].any()


def test_a_part_is_not_drawn_again_to_fit_an_area_that_it_cannot_have(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = shaded_comb()
    drawn: list[float] = []
    original = missing.render

    def counted(site: object, spec: object, rng: object) -> object:
        drawn.append(1.0)
        return original(site, spec, rng)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(missing, "render", counted)
    render_defect(scene, DefectSpec(mechanism="missing", area_fraction=0.012, severity=10.0, seed=0))
    assert len(drawn) == 1


@pytest.mark.parametrize("seed", range(5))
def test_a_slender_fibre_is_one_long_curve(seed: int) -> None:
    scene = Scene(photo_from_array(plain_sheet(256, 200)))
    spec = DefectSpec(mechanism="fibre", area_fraction=0.001, elongation=40.0, severity=12.0, seed=seed)
    mask = render_defect(scene, spec).mask
    ys, xs = np.nonzero(mask)
    assert mask.sum() > 40
    thickness = 2.0 * float(cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3).max())
    assert mask.sum() / thickness > 20.0
    assert np.hypot(np.ptp(ys), np.ptp(xs)) > 18
