"""Other people's programs that the tests run: Node with the packages of tests/node, and Pythons with other libraries.

They come from package registries (`make node`, uv). Where they cannot be had the tests that need them are skipped and say
so; with TEST_EVERYTHING=1, as in .ci/run, they fail instead.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest

NODE_FOLDER = Path(__file__).parents[1] / "node"
_BIN = NODE_FOLDER / "node_modules" / ".bin"
_NODE = NODE_FOLDER / "node_modules" / "node" / "bin"


class Said(NamedTuple):
    """What a program said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


def unavailable(why: str) -> NoReturn:
    """Skip the running test, or fail it where everything must run."""
    if os.environ.get("TEST_EVERYTHING") == "1":
        pytest.fail(f"{why} (TEST_EVERYTHING=1)")
    pytest.skip(why)


def run(command: Sequence[str], *, env: Mapping[str, str] = os.environ, timeout_s: int = 280) -> Said:
    """Run a program to its end."""
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=timeout_s, check=False)
    return Said(done.returncode, done.stdout, done.stderr)


def node(program: str, *arguments: str, timeout_s: int = 280) -> Said:
    """Run a script of tests/node (`*.mjs`) or a program of its packages with Node 22."""
    if not (NODE_FOLDER / "node_modules" / ".installed").exists():
        unavailable("the Node programs of tests/node are not installed: run `make node`")
    path = os.pathsep.join([str(_NODE), os.environ["PATH"]])
    command = [str(_NODE / "node"), str(NODE_FOLDER / program)] if program.endswith(".mjs") else [str(_BIN / program)]
    return run([*command, *arguments], env={**os.environ, "PATH": path}, timeout_s=timeout_s)


def python_with(folder: Path, *requirements: str) -> Path:
    """The Python of a new environment in `folder` with other libraries than ours."""
    patient = {"UV_HTTP_RETRIES": "8", **os.environ}
    made = run([sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, str(folder)])
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if made.code == 0:
        made = run(
            [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(python), *requirements], env=patient
        )
    if made.code != 0:
        unavailable(f"{', '.join(requirements)} cannot be installed here (no package registry?): {made.err.strip()[-200:]}")
    return python
