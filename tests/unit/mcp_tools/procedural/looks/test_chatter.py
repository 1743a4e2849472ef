"""Chatter marks are parallel bands at even distances, across the lines of the surface or along them."""

import cv2
import numpy as np
import pytest
from helpers.sites import plain_sheet

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.looks.chatter import names_chatter
from anomalyagent.mcp_tools.procedural.named_renderer import named_renderer


@pytest.mark.parametrize("mechanism", ["discoloration", "abrasion", "scratch"])
@pytest.mark.parametrize("seed", range(4))
def test_bands_are_parallel_and_evenly_spaced(mechanism: str, seed: int) -> None:
    scene = Scene(photo_from_array(plain_sheet(256)))
    spec = DefectSpec.model_validate(
        {"mechanism": mechanism, "severity": 8.0, "area_fraction": 0.06, "elongation": 7.0, "count": 4, "center": (0.5, 0.5)}
    ).model_copy(update={"seed": seed, "orientation_deg": 0.0})
    drawn = render_defect(scene, spec, named_renderer(scene, spec, "chatter marks on the ground roller"))
    change = cv2.blur((drawn.photo.rgb - scene.photo.rgb).mean(axis=2), (9, 1))
    rows = np.abs(change).sum(axis=1)
    profile = change[:, 118:139].mean(axis=1)
    profile = profile * np.sign(profile[np.abs(profile).argmax()])
    peaks = [at for at in range(2, 254) if profile[at] == profile[at - 2 : at + 3].max() > 0.3 * profile.max()]
    assert 3 <= len(peaks) <= 5
    gaps = np.diff(peaks)
    assert gaps.max() - gaps.min() <= max(3, 0.25 * gaps.mean())
    columns = np.abs(change).sum(axis=0)
    assert np.count_nonzero(columns > 0.2 * columns.max()) > 0.8 * np.count_nonzero(rows > 0.2 * rows.max())


def test_words_of_chatter() -> None:
    assert names_chatter("chatter marks on the shaft")
    assert names_chatter("a vibration mark")
    assert not names_chatter("a scratch on the shaft")
