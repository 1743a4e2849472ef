"""`auto` moves no level of liquid that the photos do not show."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from anomalyagent.configs.loading import load_settings
from anomalyagent.graph.request import Request, plan_types
from anomalyagent.mcp_tools.unseen_levels import kinds_not_shown


def _photos(folder: Path, *, clear: bool) -> list[Path]:
    """Bottles of green plastic, or of glass with something orange in the lower half, before a pale ground."""
    written = list[Path]()
    for index in range(3):
        photo = np.full((260, 160, 3), 205, np.uint8)
        photo[30:230, 40:120] = 120
        photo[35:225, 45:115] = 198 if clear else (60, 110, 60)
        if clear:
            photo[120:225, 45:115] = (50, 130, 190)
        photo[10:30, 50:110] = (150, 60, 40)
        noise = np.random.default_rng(index).normal(0.0, 1.5, photo.shape)
        written.append(folder / f"{index}.png")
        cv2.imwrite(str(written[-1]), np.clip(cv2.GaussianBlur(photo, (0, 0), 0.8) + noise, 0.0, 255.0).astype(np.uint8))
    return written


def _chosen(photos: list[Path]) -> set[str]:
    request = Request(normals=[], item="juice bottle", anomaly_types="auto", count=4, out=Path("unused"))
    return {plan.anomaly_type for plan in plan_types(request, load_settings(None), photos, lambda _: None).types}


def test_auto_draws_a_wrong_level_only_where_one_is_seen(tmp_path: Path) -> None:
    (tmp_path / "clear").mkdir()
    (tmp_path / "opaque").mkdir()
    clear, opaque = _chosen(_photos(tmp_path / "clear", clear=True)), _chosen(_photos(tmp_path / "opaque", clear=False))
    assert clear - opaque == {"fill_level"}
    assert len(opaque) > 3


@pytest.mark.parametrize("sets", [["tools.image_gen.backend=diffusers"], ["tools.image_gen.server=http://127.0.0.1:9/mcp"]])
def test_a_model_or_another_server_may_know_better(tmp_path: Path, sets: list[str]) -> None:
    photos = _photos(tmp_path, clear=False)
    assert kinds_not_shown(load_settings(None), ["fill_level", "scratch"], photos) == {"fill_level"}
    assert kinds_not_shown(load_settings(None, sets), ["fill_level", "scratch"], photos) == set()
