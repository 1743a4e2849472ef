"""A run of paint is a ridge of the coat itself that hangs straight down and ends in a drop."""

import numpy as np

from anomalyagent.knowledge.spec import DefectSpec, Mechanism
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.looks.paint_run import PaintRun
from anomalyagent.mcp_tools.procedural.named_renderer import named_renderer

PROMPT = 'Add one deposit ("run") anywhere on the painted surface.'


def panel(size: int = 200) -> Scene:
    """Blue paint that is lit a little better above."""
    fall = np.linspace(1.1, 0.9, size)[:, None, None]
    photo = np.array([40.0, 60.0, 150.0]) * fall + np.random.default_rng(1).normal(0.0, 1.5, (size, size, 1))
    return Scene(photo_from_array(np.clip(photo, 0, 255).astype(np.uint8)))


def spec_of(seed: int, mechanism: Mechanism = "contamination") -> DefectSpec:
    return DefectSpec(mechanism=mechanism, area_fraction=0.02, elongation=6.0, severity=9.0, center=(0.5, 0.5), seed=seed)


def test_words_of_run_paint_draw_a_run() -> None:
    assert isinstance(named_renderer(panel(), spec_of(0), PROMPT), PaintRun)
    assert not isinstance(named_renderer(panel(), spec_of(0), PROMPT.replace("run", "dust")), PaintRun)
    assert not isinstance(named_renderer(panel(), spec_of(0), PROMPT.replace("painted surface", "fabric")), PaintRun)


def test_a_run_hangs_down_ends_in_a_drop_and_keeps_the_hue_of_the_paint() -> None:
    scene = panel()
    for seed in range(6):
        made = render_defect(scene, spec_of(seed), PaintRun())
        rows, columns = np.nonzero(made.mask)
        assert np.ptp(rows) > 2.0 * np.ptp(columns)
        widths = made.mask[rows.min() : rows.max() + 1].sum(axis=1)
        assert widths[2 * len(widths) // 3 :].max() > 1.2 * widths[: len(widths) // 3].max()
        body = made.photo.rgb[made.mask]
        assert np.median(body[:, 2] / np.maximum(body[:, 0], 0.01)) > 2.0
