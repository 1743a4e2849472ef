"""Broken teeth of a zip: some are gone, the cloth shows; what has no row loses a part as before."""

import numpy as np
import pytest
from helpers.rows import HALF, MIDDLE, PITCH, zip_fastener
from helpers.sites import plain_sheet

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.backends.procedural import ProceduralImageGen
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.procedural.looks.lost_elements import names_teeth

SPEC = DefectSpec(mechanism="missing", zone="center", area_fraction=0.02, elongation=2.0, severity=15.0)


def test_words_of_teeth_in_rows() -> None:
    assert names_teeth('one missing part ("broken_teeth") in the middle of the zipper')
    assert names_teeth("missing elements of the chain")
    assert not names_teeth("a chipped tooth of the gear")
    assert not names_teeth("a missing pin of the connector")


@pytest.mark.parametrize("seed", range(6))
def test_teeth_are_gone_and_the_cloth_shows(seed: int) -> None:
    photo = photo_from_array(zip_fastener())
    edited = ProceduralImageGen().edit(photo, "broken_teeth in the middle of the zipper", SPEC, seed)
    before, after = (255.0 * shown.rgb[..., 0] for shown in (photo, edited.photo))
    assert (edited.photo.native[~edited.changed] == photo.native[~edited.changed]).all()
    rows, columns = np.nonzero(edited.changed)
    assert np.ptp(rows) > 0.6 * PITCH
    assert columns.min() > MIDDLE - HALF - 10
    assert columns.max() < MIDDLE + HALF + 10
    lost = edited.changed & (before > 110)
    assert lost.sum() > 40
    assert np.median(after[lost]) < 65  # cloth, not another grey
    assert (after[edited.changed] > 110).mean() < 0.15  # no pieces of teeth are left in the gap


def test_a_sheet_without_a_row_loses_a_part_as_before() -> None:
    photo = photo_from_array(plain_sheet())
    edited = ProceduralImageGen().edit(photo, "broken_teeth of the zipper", SPEC, 0)
    plain = ProceduralImageGen().edit(photo, "a missing part of the sheet", SPEC, 0)
    assert edited.changed.any()
    assert 0.3 < edited.changed.mean() / plain.changed.mean() < 3.0
