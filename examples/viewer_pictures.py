"""The pictures of docs/debugging.md: a small run on the bundled tablets, and the viewer's pages of it in a headless Chromium.

python examples/viewer_pictures.py --out docs/pictures        needs the `dev` extra and a Chromium (apt-get install chromium)
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import FloatRect, Page, sync_playwright

NORMALS = Path(__file__).parent / "normals"
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTH_PX = 1200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    arguments = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if chromium is None:
        raise SystemExit(f"no Chromium: `apt-get install chromium`, or put one of {', '.join(CHROMIUMS)} on the PATH.")
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "tablets"
        types = [part for name in ("hair", "crack", "black speck") for part in ("--anomaly-type", name)]
        call(
            "synthesize",
            "--normals",
            str(NORMALS / "tablet"),
            "--item",
            "white tablet",
            *types,
            "--count",
            "10",
            "--out",
            str(run),
        )
        with viewer(run) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": WIDTH_PX, "height": 820}, reduced_motion="reduce")
            take(page, arguments.out, address, Path(folder))
            browser.close()


def take(page: Page, out: Path, address: str, scratch: Path) -> None:
    """All pictures, in the order of the page that shows them."""
    page.goto(f"{address}r/tablets")
    shoot(page, out / "viewer_run.jpg", scratch)
    page.goto(f"{address}r/tablets?outcome=rejected&sort=-score")
    rejected = page.locator("[data-row]").first.inner_text()
    page.goto(f"{address}r/tablets/t/{rejected}")
    shoot(page, out / "viewer_story.jpg", scratch, height=1560)
    page.goto(f"{address}r/tablets/t/{rejected}/fork?at=1")
    page.locator("input[name='set:spec.severity']").fill("3")
    page.get_by_role("button", name="Fork").click()
    page.wait_for_url("**/t/*-fork1")
    page.keyboard.press("c")
    page.locator("#parting").wait_for()
    shoot(page, out / "viewer_compare.jpg", scratch, height=1100)


def shoot(page: Page, path: Path, scratch: Path, height: int = 820) -> None:
    """The top of a page as a small JPEG."""
    page.wait_for_load_state("networkidle")
    clip: FloatRect = {"x": 0, "y": 0, "width": WIDTH_PX, "height": height}
    page.screenshot(path=scratch / "page.png", full_page=True, clip=clip)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.open(scratch / "page.png").convert("RGB").save(path, quality=82, optimize=True)
    print(path)


def call(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "anomalyagent", *arguments], check=False)
    if done.returncode not in (0, 1):  # 1: a type did not bring all of its samples
        raise SystemExit(done.returncode)


@contextmanager
def viewer(run: Path) -> Generator[str]:
    """The address of `trace view`."""
    command = [sys.executable, "-m", "anomalyagent", "trace", "view", str(run), "--no-browser", "--allow-fork"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
