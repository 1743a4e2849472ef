"""What is said about a request before anything is made."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.photos import make_photos

from anomalyagent.configs.loading import load_settings
from anomalyagent.configs.schema import LimitSettings
from anomalyagent.errors import RunError
from anomalyagent.graph.events import Event, Note
from anomalyagent.graph.inputs import UNLIKE, find_normals, import_normals
from anomalyagent.graph.request import Request, plan_types


def warnings(types: list[str], sets: list[str] | None = None) -> list[str]:
    told: list[Event] = []
    request = Request(normals=[], item="gear", anomaly_types=types, count=1, out=Path("unused"))
    plan_types(request, load_settings(None, sets or []), [], told.append)
    return [event.text for event in told if isinstance(event, Note) and event.level == "warning"]


def test_a_type_in_words_that_nobody_reads_is_told() -> None:
    (told,) = warnings(["scratch", "Kratzer"])
    assert told.startswith("'Kratzer' names no kind of defect")


def test_a_place_named_by_a_part_that_nobody_looks_for_is_told() -> None:
    (told,) = warnings(["scratch near the big hole", "dent near the rim", "stain close to the upper left corner", "scratch"])
    assert told.startswith("'scratch near the big hole': no part is looked for in the photos, so that 'near the big hole'")
    assert "--zone-mask" in told
    assert warnings(["scratch near the big hole"], ["tools.image_gen.options.zone_mask=zone.png"]) == []


def test_a_type_written_twice_is_made_once_and_that_is_told() -> None:
    told: list[Event] = []
    request = Request(normals=[], item="gear", anomaly_types=["scratch", "Scratch", "scratch ", "dent"], count=1, out=Path("x"))
    plan = plan_types(request, load_settings(None, []), [], told.append)
    assert [one.anomaly_type for one in plan.types] == ["scratch", "dent"]
    assert [event.text.partition(" are")[0] for event in told if isinstance(event, Note)] == [
        "'Scratch' and 'scratch'",
        "'scratch ' and 'scratch'",
    ]


def test_a_model_that_writes_the_prompts_may_read_other_languages() -> None:
    assert warnings(["Kratzer"], ["tools.prompt_gen.backend=chat"]) == []


def photos(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"x")
    return folder


def test_photos_of_kinds_that_are_not_read_are_told(tmp_path: Path) -> None:
    told: list[Any] = []
    folder = photos(tmp_path / "phone", "a.jpg", "IMG_1.HEIC", "IMG_2.heic", "raw.dng", "notes.txt", ".b.heic")
    assert [name for name, _ in find_normals([folder], told.append)] == ["a.jpg"]
    assert len(told) == 1
    assert "(1 .dng, 2 .heic)" in told[0]


def test_a_folder_of_nothing_but_such_photos_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot be read \(1 \.heic\): save them as JPEG or PNG"):
        find_normals([photos(tmp_path / "phone", "IMG_1.HEIC")])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_photo_of_one_colour_is_left_out(tmp_path: Path, channels: int) -> None:
    told: list[str | None] = []
    flat = np.full((64, 64, channels), np.arange(channels) * 60, np.uint8)
    part = flat.copy()
    part[20:40, 20:40, 0] += 3
    for name, pixels in (("lid.png", flat), ("part.png", part)):
        cv2.imwrite(str(tmp_path / name), pixels)
    inputs = import_normals(
        find_normals([tmp_path]),
        tmp_path,
        "dataset",
        LimitSettings(),
        jobs=1,
        report=lambda _done, _of, text: told.append(text),
    )
    assert [one.source for one in inputs.normals] == ["part.png"]
    assert [text is not None and text.startswith("skipped lid.png: it is one colour") for text in told] == [True, False]
    assert [path.name for path in (tmp_path / "dataset").iterdir()] == ["000.png"]


def test_a_set_of_nothing_but_covered_lenses_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "lid.png"), np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(RunError, match="none of the 1 normal images can be used: it is one colour all over"):
        import_normals(
            find_normals([tmp_path]), tmp_path, "dataset", LimitSettings(), jobs=1, report=lambda _done, _of, _text: None
        )


def test_a_photo_that_the_zone_mask_does_not_fit_is_left_out(tmp_path: Path) -> None:
    """All its tasks failed, one after the other."""
    folder = make_photos(tmp_path / "photos", count=2, size=64)
    tall = cv2.imread(str(folder / "good_01.png"))
    assert tall is not None
    cv2.imwrite(str(folder / "tall.png"), np.concatenate([tall, tall]))
    told: list[str] = []
    inputs = import_normals(
        find_normals([folder]),
        tmp_path,
        "dataset",
        LimitSettings(),
        jobs=1,
        report=lambda _done, _of, text: told.append(text or ""),
        zone_shape=(32, 32),
    )
    assert [one.source for one in inputs.normals] == ["good_00.png", "good_01.png"]
    assert "skipped tall.png: the zone mask is 32 x 32, the photo 64 x 128: not the same shape" in told[-1]


def test_a_photo_of_another_part_has_a_note(tmp_path: Path) -> None:
    folder = make_photos(tmp_path / "photos", count=30, size=64)
    odd = cv2.imread(str(folder / "good_03.png"))
    assert odd is not None
    odd[10:50, 10:50] //= 4
    cv2.imwrite(str(folder / "ring (1).png"), odd)
    inputs = import_normals(
        find_normals([folder]), tmp_path, "dataset", LimitSettings(), jobs=2, report=lambda _done, _of, _text: None
    )
    assert [one.source for one in inputs.normals if UNLIKE in one.notes] == ["ring (1).png"]


def test_photos_in_folders_below_are_told(tmp_path: Path) -> None:
    told: list[str] = []
    photos(photos(tmp_path, "a.jpg") / "monday", "b.jpg", "c.HEIC")
    (tmp_path / "empty").mkdir()
    assert [name for name, _ in find_normals([tmp_path], told.append)] == ["a.jpg"]
    assert len(told) == 1
    assert "(2 in monday): name such a folder, too" in told[0]
