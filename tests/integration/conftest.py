"""Fixtures of the integration tests."""

import shutil
from pathlib import Path

import pytest
from helpers.photos import make_photos
from helpers.run_backends import run_settings
from helpers.runs import request

from anomalyagent.graph.run import synthesize


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, to be read alone; its photos lie beside it in `photos`."""
    folder = tmp_path_factory.mktemp("finished")
    synthesize(request(make_photos(folder / "photos", count=2, size=64), folder / "run", count=2), run_settings(share=0.3))
    return folder / "run"


@pytest.fixture
def run_dir(made_once: Path, tmp_path: Path) -> Path:
    """A copy of that run, for the test alone."""
    return Path(shutil.copytree(made_once, tmp_path / "run"))
