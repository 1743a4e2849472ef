"""The gallery of docs/gallery.md: each mechanism on three bundled materials, as the tools make it.

python examples/gallery.py --out docs/pictures/gallery
"""

import argparse
from pathlib import Path

import numpy as np
from pictures import GAP_PX, TILE_PX, close_up, place
from PIL import Image

from anomalyagent.configs.schema import Settings
from anomalyagent.errors import BackendError
from anomalyagent.knowledge.spec import MECHANISMS, Mechanism
from anomalyagent.mcp_tools.imaging.photo import read_photo
from anomalyagent.mcp_tools.registry import create_backend

NORMALS = Path(__file__).parent / "normals"
ON_PARTS = ("connector", "metal_nut", "tablet")
ON_SURFACES = ("steel_plate", "leather", "tablet")
MATERIALS: dict[Mechanism, tuple[str, str, str]] = {
    "bend": ON_PARTS,
    "missing": ON_PARTS,
    "swap": ON_PARTS,
    "chip": ("tablet", "connector", "metal_nut"),
    "dent": ("steel_plate", "metal_nut", "leather"),
    "print": ("tablet", "connector", "steel_plate"),
}
WORDS: dict[str, str] = {"metal_nut": "metal nut", "steel_plate": "steel plate"}
SEEDS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures/gallery"))
    parser.add_argument("--only", help="one mechanism")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for mechanism in MECHANISMS:
        if arguments.only in (None, mechanism):
            path = arguments.out / f"{mechanism}.jpg"
            row_of(mechanism).save(path, quality=84)
            print(path)


def row_of(mechanism: Mechanism) -> Image.Image:
    """The defect on three materials, each whole and enlarged with the outline of its mask."""
    materials = MATERIALS.get(mechanism, ON_SURFACES)
    row = Image.new("RGB", (6 * (TILE_PX + GAP_PX), TILE_PX + 28), (250, 250, 247))
    for column, material in enumerate(materials):
        anomaly, mask = make(mechanism, material, column)
        place(row, anomaly, 2 * column, 0, WORDS.get(material, material))
        place(row, close_up(anomaly, mask), 2 * column + 1, 0, None)
    return row


def make(mechanism: Mechanism, material: str, number: int) -> tuple[Image.Image, Image.Image]:
    """The first of a few seeds that quality_eval passes well and without a finding, else the best of them."""
    settings, item = Settings(), WORDS.get(material, material)
    writer, drawer, judge = (
        create_backend("prompt_gen", settings),
        create_backend("image_gen", settings),
        create_backend("quality_eval", settings),
    )
    normal = read_photo(NORMALS / material / f"{number:03d}.jpg")
    best: tuple[float, Image.Image, Image.Image] | None = None
    for seed in range(SEEDS):
        asked = writer.write_prompt(normal, item, mechanism, seed)
        if asked.spec.mechanism != mechanism:  # a card may give a type of this name other forms too
            continue
        try:
            edited = drawer.edit(normal, asked.prompt, asked.spec, seed)
        except BackendError:
            continue
        judged = judge.judge(normal, edited.photo, item, mechanism, 5.0)
        if best is None or judged.score > best[0]:
            mask = Image.fromarray(np.where(edited.changed, 255, 0).astype(np.uint8))
            best = judged.score, Image.fromarray(np.rint(edited.photo.rgb * 255).astype(np.uint8)), mask
        if judged.score > 8.0 and not judged.findings:
            break
    assert best is not None, f"no {mechanism} could be drawn on {material}"
    return best[1], best[2]


if __name__ == "__main__":
    main()
