"""Photos as they really come: every kind that can be used is, every other one is named and skipped, nothing crashes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.photos import make_photo
from PIL import Image

Done = tuple[Path, subprocess.CompletedProcess[str]]


def write_usable(folder: Path) -> dict[str, tuple[int, int]]:
    """Odd but usable photos, and the (width, height) that each is shown with."""
    rgb = make_photo("part", seed=1, size=96)
    wide = cv2.resize(make_photo("part", seed=2, size=128), (160, 110))
    color, grey = Image.fromarray(rgb), Image.fromarray(rgb).convert("L")
    color.save(folder / "color.png")
    grey.save(folder / "grey.png")
    color.save(folder / "photo.jpg", quality=92)
    color.save(folder / "old.bmp")
    color.save(folder / "scan.tif")
    color.save(folder / "web.webp", quality=90)
    color.quantize(64).save(folder / "palette.png")
    color.convert("CMYK").save(folder / "print.jpg", quality=92)
    alpha = Image.fromarray(np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)]))
    alpha.putpixel((3, 3), (10, 20, 30, 0))
    alpha.save(folder / "alpha.png")
    cv2.imwrite(str(folder / "deep_grey.png"), cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.uint16) * 16)
    cv2.imwrite(str(folder / "deep_color.png"), rgb.astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(wide).save(folder / "turned.jpg", exif=exif, quality=92)
    Image.fromarray(wide).save(folder / "größe 部品 name.png")
    sizes = dict.fromkeys((path.name for path in folder.iterdir()), (96, 96))
    return sizes | {"turned.jpg": (110, 160), "größe 部品 name.png": (160, 110)}


def write_unusable(folder: Path) -> set[str]:
    """Files that cannot be used."""
    whole = (folder / "color.png").read_bytes()
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut_off.png").write_bytes(whole[: len(whole) // 3])
    (folder / "text.png").write_text("this is not an image", "utf-8")
    Image.new("L", (1, 1)).save(folder / "dot.png")
    Image.new("1", (20000, 20000)).save(folder / "bomb.png")
    damaged = bytearray((folder / "photo.jpg").read_bytes())
    (folder / "damaged.jpg").write_bytes(damaged[:400])
    names = {"empty.png", "cut_off.png", "text.png", "dot.png", "bomb.png", "damaged.jpg"}
    if os.name == "nt":
        return names
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "lost.png").symlink_to("nothing.png")
    os.mkfifo(folder / "pipe.png")
    return names | {"loop.png", "lost.png", "pipe.png"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, tuple[int, int]], set[str]]:
    folder = tmp_path_factory.mktemp("photos")
    usable = write_usable(folder)
    unusable = write_unusable(folder)
    (folder / "folder.png").mkdir()
    return folder, usable, unusable


@pytest.fixture(scope="module")
def finished(photos: tuple[Path, dict[str, tuple[int, int]], set[str]], tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder, usable, _ = photos
    out = tmp_path_factory.mktemp("odd") / "run"
    command = [sys.executable, "-m", "anomalyagent", "synthesize", "--normals", str(folder), "--item", "machined part"]
    command += ["--anomaly-type", "dark stain", "--count", str(len(usable)), "--out", str(out)]
    # a home that cannot be written: caches must not be needed
    env = {**os.environ, "HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null/cache", "XDG_DATA_HOME": "/dev/null/data"}
    return out, subprocess.run(command, capture_output=True, text=True, check=False, timeout=240, env=env)


def test_unusable_files_are_named_and_skipped_one_by_one(
    photos: tuple[Path, dict[str, tuple[int, int]], set[str]], finished: Done
) -> None:
    out, done = finished
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    skipped = {Path(one["source"]).name for one in json.loads((out / "run.json").read_text("utf-8"))["inputs"]["skipped"]}
    assert photos[2] <= skipped
    assert all(name in done.stdout for name in photos[2])


def test_every_usable_kind_keeps_size_mode_and_all_pixels_outside_the_mask(
    photos: tuple[Path, dict[str, tuple[int, int]], set[str]], finished: Done
) -> None:
    folder = finished[0] / "dataset" / "machined_part"
    manifest = [json.loads(line) for line in (folder / "manifest.jsonl").read_text("utf-8").splitlines()]
    seen: dict[str, Image.Image] = {}
    for sample in manifest:
        with Image.open(folder / sample["image"]) as anomaly, Image.open(folder / sample["normal"]) as normal:
            assert (anomaly.size, anomaly.mode) == (normal.size, normal.mode)
            seen[Path(sample["source"]).name] = normal.copy()
        images = [cv2.imread(str(folder / sample[key]), cv2.IMREAD_UNCHANGED) for key in ("image", "normal", "mask")]
        anomaly_px, normal_px, mask = images
        assert anomaly_px is not None
        assert normal_px is not None
        assert mask is not None
        assert anomaly_px.dtype == normal_px.dtype
        assert np.array_equal(anomaly_px[mask == 0], normal_px[mask == 0])
        changed = anomaly_px != normal_px
        assert changed.any()
        if anomaly_px.ndim == 3 and anomaly_px.shape[2] == 4:
            assert np.array_equal(anomaly_px[..., 3], normal_px[..., 3])
    assert {name: photo.size for name, photo in seen.items()} == photos[1]
    assert seen["deep_grey.png"].mode == "I;16"
    assert seen["alpha.png"].mode == "RGBA"
    assert seen["grey.png"].mode == "L"
