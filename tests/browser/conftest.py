"""A real run on bundled photos, a viewer of it, and pages of a real Chromium.

Chromium is Debian's own (`apt-get install chromium`); where there is none these tests are skipped, and say so.
"""

import os
import shutil
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers.viewer import NORMALS, Serve, find_chromium, serving
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from anomalyagent.configs.schema import Settings
from anomalyagent.graph.run import Request, synthesize
from anomalyagent.graph.viewer.app import Options

PATIENCE_MS = 90_000  # a small machine that is busy, not a slow page
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")  # not longer: while it lives, this thread has a running event loop
def browser() -> Generator[Browser]:
    path = find_chromium()
    arguments = ["--no-sandbox"] if os.name == "posix" and os.getuid() == 0 else []
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=arguments)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Generator[Page]:
    """A page that fails the test when its script or its security policy complains."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error" and "status of 422" not in message.text:  # a form that says what to mend is no fault
            complaints.append(message.text)

    opened.on("console", hear)
    opened.set_default_timeout(PATIENCE_MS)
    yield opened
    context.close()
    assert complaints == []


@pytest.fixture(scope="session")
def made_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on tablets with a judge that is hard to please, so that some are rejected."""
    out = tmp_path_factory.mktemp("made") / "tablets"
    settings = Settings.model_validate(
        {"limits": {"rounds": 2, "attempts_per_sample": 3}, "tools": {"quality_eval": {"threshold": 8.6}}}
    )
    request = Request([NORMALS / "tablet"], "white tablet", ["hair", "crack"], 3, out)
    with ThreadPoolExecutor(1) as thread:  # the browser's event loop runs in this one
        thread.submit(synthesize, request, settings).result()
    return out


@pytest.fixture
def run(made_run: Path, tmp_path: Path) -> Path:
    """A copy of the run that a test may change."""
    return Path(shutil.copytree(made_run, tmp_path / "tablets"))


@pytest.fixture
def serve(page: Page, tmp_path: Path) -> Serve:
    """Serves runs while `page` shows them; the page leaves first, so that no picture is on its way when the server ends."""

    @contextmanager
    def serving_page(run_dirs: Sequence[Path], options: Options | None = None) -> Generator[str]:
        with serving(run_dirs, tmp_path / "cache", options) as address:
            yield address
            page.goto("about:blank")

    return serving_page


@pytest.fixture
def viewer(serve: Serve, run: Path) -> Generator[str]:
    """Address of the run's page, where everything is allowed."""
    with serve([run], Options(allow_fork=True)) as address:
        yield f"{address}/r/tablets"
