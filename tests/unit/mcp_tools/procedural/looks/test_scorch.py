"""What heat has browned fades out softly, is brown to black, and the body shows through it."""

import numpy as np
import pytest
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import Rendered, render_defect
from anomalyagent.mcp_tools.procedural.looks.scorch import names_scorch
from anomalyagent.mcp_tools.procedural.named_renderer import named_renderer


def board(color: tuple[int, int, int]) -> Scene:
    """A surface of one colour with streaks that all run one way, as of wood or of a rough snack."""
    rng = np.random.default_rng(0)
    streaks = np.repeat(rng.normal(0.0, 6.0, (1, 200, 1)), 200, axis=0)
    native = np.array(color) + streaks + rng.normal(0.0, 2.0, (200, 200, 1))
    return Scene(photo_from_array(np.clip(native, 0, 255).astype(np.uint8)))


def burn(scene: Scene, seed: int) -> tuple[Rendered, NDArray[np.float32]]:
    """A burn mark, and how its CIELAB colours differ."""
    spec = DefectSpec(
        mechanism="stain",
        center=(0.5, 0.5),
        area_fraction=0.05,
        severity=14.0,
        color_shift=(-26.0, 4.0, 8.0),
        seed=seed,
    )
    made = render_defect(scene, spec, named_renderer(scene, spec, "burnt patch on a wheel snack"))
    return made, (lab_from_rgb(made.photo.rgb) - lab_from_rgb(scene.photo.rgb)).astype(np.float32)


@pytest.mark.parametrize("color", [(226, 186, 128), (226, 160, 70), (205, 205, 200)])
def test_a_burn_has_no_line_around_it_and_no_streaks(color: tuple[int, int, int]) -> None:
    scene = board(color)
    for seed in range(5):
        _, shift = burn(scene, seed)
        darker = -shift[..., 0]
        down, across = (np.abs(part) for part in np.gradient(darker))
        assert max(np.percentile(down, 99.9), np.percentile(across, 99.9)) < 0.35 * darker.max()
        assert down[darker > 2.0].mean() > 0.3 * across[darker > 2.0].mean()  # streaks change across only


@pytest.mark.parametrize(("color", "kept"), [((205, 205, 200), 0.0), ((226, 186, 128), 0.87), ((226, 160, 70), 0.87)])
def test_a_burn_is_brown_on_grey_and_leaves_a_coloured_body_its_colour(color: tuple[int, int, int], kept: float) -> None:
    scene = board(color)
    for seed in range(5):
        made, shift = burn(scene, seed)
        assert made.mask.any()
        assert shift[..., 1].max() < 12.0  # nor does it glow red
        assert shift[..., 0].max() < 3.0
        browned = (shift[..., 0] < -8.0) & (shift[..., 0] > -20.0)
        before, after = (lab_from_rgb(photo.rgb)[browned][:, 1:] for photo in (scene.photo, made.photo))
        assert after[:, 0].mean() > 2.5
        assert np.linalg.norm(after, axis=1).mean() > kept * np.linalg.norm(before, axis=1).mean()


def test_words_tell_a_burn_from_the_temper_colours_of_a_metal() -> None:
    assert names_scorch("burnt patch on the biscuit")
    assert names_scorch("scorch mark on the veneer")
    assert not names_scorch("grinding burn on the shaft")
    assert not names_scorch("burn mark on the steel sheet")
    assert not names_scorch("brown stain")
