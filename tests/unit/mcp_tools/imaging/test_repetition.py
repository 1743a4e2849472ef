"""Repetition: a picture of stripes falls on itself after one pitch, noise only without any shift."""

import numpy as np
import pytest

from anomalyagent.mcp_tools.imaging.repetition import autocorrelation, find_shifts


@pytest.mark.parametrize("pitch", [8, 13])
def test_stripes_repeat_after_their_pitch_and_across_them(pitch: int) -> None:
    stripes = np.tile(np.sin(2.0 * np.pi * np.arange(128) / pitch), (96, 1)).astype(np.float32)
    correlation = autocorrelation(stripes).astype(np.float32)
    found = find_shifts(correlation, 0.2 * float(correlation.max()))
    across = found.xy[np.argsort(np.abs(found.xy[:, 0]), kind="stable")]
    assert np.abs(found.xy[:, 1]).max() == 0.0
    assert across[0].tolist() == [0.0, 0.0]
    assert abs(abs(across[1][0]) - pitch) <= 1.0
    assert found.heights.max() == correlation[48, 64]


def test_noise_falls_on_itself_only_where_it_is() -> None:
    noise = np.random.default_rng(0).standard_normal((65, 90)).astype(np.float32)
    correlation = autocorrelation(noise).astype(np.float32)
    assert find_shifts(correlation, 0.5 * float(correlation.max())).xy.tolist() == [[0.0, 0.0]]
