"""Folders of users, of those without a home too."""

import os
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

from anomalyagent.configs.paths import user_folder

_HOMELESS = """\
import os, pwd, sys
def unknown(_id): raise KeyError("no such user")
pwd.getpwuid = unknown
from anomalyagent.knowledge.cards import load_cards
from anomalyagent.knowledge.store import open_store
from anomalyagent.training.rows.redact import Redactor
from pathlib import Path
cards = load_cards()[:20]
print(open_store(cards).where, Redactor(Path("run")).text("~ stays"))
"""


def test_folders_are_where_they_have_always_been() -> None:
    assert user_folder("cache") == Path(platformdirs.user_cache_dir("anomalyagent"))
    assert user_folder("data") == Path(platformdirs.user_data_dir("anomalyagent"))


@pytest.mark.skipif(os.name == "nt", reason="ids of users are POSIX")
def test_a_user_whom_the_system_does_not_know_works_without_a_cache_and_leaves_nothing(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if name != "HOME" and not name.startswith("XDG_")}
    command = [sys.executable, "-c", _HOMELESS]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=240)
    assert done.stdout.split() == ["memory", "~", "stays"], done.stderr
    assert "set HOME" in done.stderr
    assert not list(tmp_path.iterdir())
