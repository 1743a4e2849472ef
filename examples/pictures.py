"""The pictures of README.md, put together from what `make demo` made.

python examples/pictures.py --run demo_run --out docs/pictures
"""

import argparse
import json
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

TILE_PX = 224
GAP_PX = 6
CAPTION_PX = 22
COLUMNS = 5
BACKGROUND = (250, 250, 247)
INK = (40, 42, 46)
OUTLINE = (230, 40, 60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("demo_run"))
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    runs = sorted(path.parent for path in arguments.run.glob("*/run.json"))
    if not runs:
        raise SystemExit(f"{arguments.run} holds no run; `make demo` makes them.")
    sheet = stack_rows([row_of(run) for run in runs])
    sheet.save(arguments.out / "gallery.jpg", quality=88)
    print(arguments.out / "gallery.jpg")


def row_of(run: Path) -> Image.Image:
    """One part: its normal photo, then samples of different anomaly types, each with its mask as an outline below."""
    dataset = next((run / "dataset").iterdir())
    samples = [json.loads(line) for line in (dataset / "manifest.jsonl").read_text("utf-8").splitlines()]
    chosen = spread(samples, COLUMNS)
    row = Image.new("RGB", ((COLUMNS + 1) * (TILE_PX + GAP_PX), 2 * TILE_PX + GAP_PX + CAPTION_PX), BACKGROUND)
    normal = Image.open(dataset / chosen[0]["normal"]).convert("RGB")
    place(row, normal, 0, 0, f"{chosen[0]['item']}: good")
    for column, sample in enumerate(chosen, start=1):
        anomaly = Image.open(dataset / sample["image"]).convert("RGB")
        mask = Image.open(dataset / sample["mask"]).convert("L")
        place(row, anomaly, column, 0, sample["anomaly_type"])
        place(row, close_up(anomaly, mask), column, 1, None)
    return row


def spread(samples: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Samples of as many different types as there are, then second ones."""
    by_type: dict[str, list[dict[str, Any]]] = {}
    for sample in samples:
        by_type.setdefault(sample["anomaly_type"], []).append(sample)
    turns = [one for number in range(count) for group in by_type.values() for one in group[number : number + 1]]
    return turns[:count]


def close_up(image: Image.Image, mask: Image.Image) -> Image.Image:
    """The defect enlarged, its mask drawn as an outline."""
    left, top, right, bottom = mask.getbbox() or (0, 0, *mask.size)
    half = max(right - left, bottom - top) * 0.7 + 12
    x, y = (left + right) / 2, (top + bottom) / 2
    half = min(half, min(mask.size) / 2)
    x, y = min(max(x, half), mask.width - half), min(max(y, half), mask.height - half)
    box = (round(x - half), round(y - half), round(x + half), round(y + half))
    shown = image.crop(box).resize((TILE_PX, TILE_PX), Image.Resampling.LANCZOS)
    inside = mask.crop(box).resize((TILE_PX, TILE_PX), Image.Resampling.NEAREST)
    pixels, marks = inside.load(), shown.load()
    assert pixels is not None
    assert marks is not None
    for v in range(1, TILE_PX):
        for u in range(1, TILE_PX):
            if pixels[u, v] != pixels[u - 1, v] or pixels[u, v] != pixels[u, v - 1]:
                marks[u, v] = OUTLINE
    return shown


def place(row: Image.Image, tile: Image.Image, column: int, line: int, caption: str | None) -> None:
    """Put a tile into the grid, with its caption above the first line."""
    x, y = column * (TILE_PX + GAP_PX), CAPTION_PX + line * (TILE_PX + GAP_PX)
    row.paste(tile.resize((TILE_PX, TILE_PX), Image.Resampling.LANCZOS), (x, y))
    if caption:
        ImageDraw.Draw(row).text((x + 2, 3), caption, fill=INK, font=ImageFont.load_default(14))


def stack_rows(rows: list[Image.Image]) -> Image.Image:
    """Rows below one another."""
    sheet = Image.new("RGB", (rows[0].width, sum(row.height + GAP_PX for row in rows)), BACKGROUND)
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height + GAP_PX
    return sheet


if __name__ == "__main__":
    main()
