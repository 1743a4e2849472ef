"""Stains are absorbed into the surface: its texture shows through, and drops run down."""

from typing import Any

import cv2
import numpy as np
import pytest
from helpers.sites import draw, plain_sheet, site_on

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.procedural.mechanisms import stain


def spec(**fields: object) -> DefectSpec:
    return DefectSpec.model_validate({"mechanism": "stain", "severity": 8.0, **fields})


@pytest.mark.parametrize("seed", range(8))
def test_the_texture_shows_through_a_stain(seed: int) -> None:
    site = site_on(plain_sheet(grain=12.0), (64, 64), 1200)
    edit = stain.render(site, spec(), np.random.default_rng(seed))
    assert edit is not None
    assert edit.log_reflectance is not None
    assert edit.paint is None
    inside = cv2.erode(edit.support.astype(np.uint8), np.ones((11, 11), np.uint8)).astype(bool)  # away from rims and runs
    before, after = (rgb[edit.window.slices][..., 1] for rgb in (site.scene.photo.rgb, draw(site, edit)))
    fine_before = before - _blurred(before)
    fine_after = after - _blurred(after)
    assert np.corrcoef(fine_before[inside], fine_after[inside])[0, 1] > (
        0.6 if edit.roughness is None else 0.4
    )  # films smooth it


@pytest.mark.parametrize("seed", range(6))
def test_a_stain_darkens_a_pale_surface_and_lightens_a_black_one(seed: int) -> None:
    for level, sign in ((200, -1), (18, 1)):
        edit = stain.render(site_on(plain_sheet(level=level), (64, 64), 900), spec(), np.random.default_rng(seed))
        assert edit is not None
        assert edit.log_reflectance is not None
        assert np.sign(edit.log_reflectance[edit.support].mean()) == sign


def test_the_wished_colour_is_used() -> None:
    site = site_on(np.stack([plain_sheet()[..., 0]] * 2 + [plain_sheet()[..., 0] // 2 + 60], axis=2), (64, 64), 900)
    edit = stain.render(site, spec(color_shift=(-10, 0, 30)), np.random.default_rng(0))
    assert edit is not None
    assert edit.log_reflectance is not None
    red, _, blue = edit.log_reflectance[edit.support].mean(axis=0)
    assert blue < red < 0.1


def test_a_stain_fades_before_the_window_ends() -> None:
    for seed in range(10):
        site = site_on(plain_sheet(), (64, 64), 900, reach=0.6)
        edit = stain.render(site, spec(), np.random.default_rng(seed))
        assert edit is not None
        assert edit.log_reflectance is not None
        frame = np.abs(edit.log_reflectance).max(axis=2)
        assert max(frame[0].max(), frame[-1].max(), frame[:, 0].max(), frame[:, -1].max()) < 0.05


def _blurred(field: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    padded = np.pad(field, 4, mode="reflect")
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, (9, 9)).mean(axis=(2, 3)), np.float32)


def test_a_field_of_flecks_does_not_drip(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: list[str] = []
    outline = stain._outline  # pyright: ignore[reportPrivateUsage]

    def noted(kind: str, *rest: Any) -> Any:
        kinds.append(kind)
        return outline(kind, *rest)

    monkeypatch.setattr(stain, "_outline", noted)
    site = site_on(plain_sheet(), (64, 64), 900)
    for count, drips in ((10, False), (1, True)):
        kinds.clear()
        for seed in range(40):
            stain.render(site, spec(count=count), np.random.default_rng(seed))
        assert ("run" in kinds) == drips
