"""`make bench-masks [REAL=DIR] [SAM=FILE] [SAM2=MODEL]`: overlap (IoU) of each mask_gen backend with what was changed.

    python tests/bench/masks.py [--normals DIR] [--count 40] [--sam FILE] [--sam2 FOLDER or ID]

Defects are drawn by the embedded generator, whose changed pixels are the truth.

    embedded      the masks are looked for in that image
    whole frame   the image first goes through what a whole-frame editor does to it (another size, a shift and a scaling of
                  about a percent, another brightness, blur, JPEG) and is brought back as such edits are, by registration
    JPEG 75       the image is stored as such a JPEG, and brought back in the same way

Last: how many good photos that went through the same come back with a defect that nobody drew.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from anomalyagent.configs.schema import Settings, ToolSettings, ToolsSettings
from anomalyagent.errors import AnomalyAgentError
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.alignment import align_and_composite
from anomalyagent.mcp_tools.imaging.arrays import RGB, Mask
from anomalyagent.mcp_tools.imaging.photo import Photo, read_photo
from anomalyagent.mcp_tools.registry import create_backend

MECHANISMS = ("scratch", "crack", "dent", "chip", "stain", "contamination", "discoloration", "abrasion")
NORMALS = Path(__file__).parents[2] / "examples" / "normals"


def measure(folder: Path, count: int, backends: Mapping[str, Any]) -> dict[str, dict[str, list[float]]]:
    """Kind of edit -> backend -> IoU of each image."""
    found = {kind: {name: list[float]() for name in backends} for kind in ("embedded", "whole frame", "JPEG 75")}
    for seed, (normal, anomaly, truth) in enumerate(draw(folder, count)):
        returned, _ = align_and_composite(normal, as_whole_frame(anomaly, seed))
        stored, _ = align_and_composite(normal, as_jpeg(anomaly.rgb, 75))
        for kind, image in (("embedded", anomaly), ("whole frame", returned), ("JPEG 75", stored)):
            for name, backend in backends.items():
                found[kind][name].append(overlap(backend.segment(normal, image).mask, truth))
    return found


def false_alarms(folder: Path, count: int) -> int:
    """Of `count` good photos that a whole-frame editor returned without any defect: those with a change that counts."""
    photos = [read_photo(path) for path in images_in(folder)[:count]]
    changed = [align_and_composite(photo, as_whole_frame(photo, seed))[1].any() for seed, photo in enumerate(photos)]
    return sum(bool(one) for one in changed)


def images_in(folder: Path) -> list[Path]:
    """Its photos, at any depth."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".png", ".jpg"))


def draw(folder: Path, count: int) -> Iterator[tuple[Photo, Photo, Mask]]:
    """Photos, what the embedded generator made of them, and the pixels that it changed."""
    generator = create_backend("image_gen", Settings())
    files = images_in(folder)
    made = 0
    for seed in range(4 * count):
        normal = read_photo(files[seed % len(files)])
        spec = DefectSpec(mechanism=MECHANISMS[seed % len(MECHANISMS)], seed=seed, severity=6.0)
        try:
            edited = generator.edit(normal, "", spec, seed)
        except AnomalyAgentError:
            continue  # this mechanism has no place on this part
        yield normal, edited.photo, edited.changed
        made += 1
        if made == count:
            return


def as_whole_frame(anomaly: Photo, seed: int) -> RGB:
    """What an editor returns that draws the whole picture anew: (h, w, 3) float32 0..1, of another size."""
    rng = np.random.default_rng([seed, 23])
    height, width = anomaly.shape
    scale = 1 + rng.uniform(-0.01, 0.01)
    moved = np.array([[scale, 0, rng.uniform(-2, 2)], [0, scale, rng.uniform(-2, 2)]], np.float32)
    rgb = cv2.warpAffine(anomaly.rgb, moved, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    rgb = cv2.resize(rgb, None, fx=1.25, fy=1.25, interpolation=cv2.INTER_CUBIC)
    rgb = cv2.GaussianBlur(rgb, (0, 0), 0.7) * rng.uniform(0.97, 1.03) + rng.uniform(-0.01, 0.01)
    return as_jpeg(np.asarray(rgb, np.float32), 92)


def as_jpeg(rgb: RGB, quality: int) -> RGB:
    """As a JPEG of that quality shows it."""
    levels = np.clip(rgb * 255, 0, 255).astype(np.uint8)[..., ::-1]
    data = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
    return np.asarray(decoded, np.float32) / np.float32(255)


def overlap(first: Mask, second: Mask) -> float:
    """Intersection over union, 1 when both are empty."""
    union = int(np.count_nonzero(first | second))
    return int(np.count_nonzero(first & second)) / union if union else 1.0


def make(backend: str, **options: Any) -> Any:
    """A mask_gen backend."""
    return create_backend("mask_gen", Settings(tools=ToolsSettings(mask_gen=ToolSettings(backend=backend, options=options))))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--normals", type=Path, default=NORMALS, help="folder of good photos; unset: the bundled ones")
    parser.add_argument("--count", type=int, default=40, help="images")
    parser.add_argument("--sam", type=Path, help="checkpoint of segment-anything")
    parser.add_argument("--sam2", help="SAM 2 or 3 of transformers: folder or id")
    arguments = parser.parse_args()
    backends = {"change": make("change")}
    for mode in ("sam", "hybrid"):
        if arguments.sam:
            backends[f"sam, {mode}"] = make("sam", checkpoint=str(arguments.sam), mode=mode)
        if arguments.sam2:
            backends[f"sam2, {mode}"] = make("sam2", model=arguments.sam2, mode=mode)
    print("| edits | backend | images | IoU, mean | median | worst tenth |")
    print("|---|---|---:|---:|---:|---:|")
    for kind, rows in measure(arguments.normals, arguments.count, backends).items():
        for name, values in rows.items():
            figures = np.mean(values), np.median(values), np.quantile(values, 0.1)
            print(f"| {kind} | {name} | {len(values)} | " + " | ".join(f"{value:.3f}" for value in figures) + " |")
    photos = min(arguments.count, len(images_in(arguments.normals)))
    print(f"\ngood photos with a defect that nobody drew: {false_alarms(arguments.normals, photos)} of {photos}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
