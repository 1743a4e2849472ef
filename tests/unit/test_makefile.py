"""What the Makefile does before it installs anything."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOM = Path(__file__).parents[2] / ".ci" / "room"


def ask(folder: Path, need_mb: int, df: str) -> subprocess.CompletedProcess[str]:
    """`.ci/room` on a system whose `df` is this shell script."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "df").write_text(f"#!/bin/sh\n{df}\n")
    (programs / "df").chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    command = ["/bin/sh", str(ROOM), str(folder), str(need_mb)]
    return subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)


def disk(free_kb: str) -> str:
    return f"echo 'Filesystem 1024-blocks Used Available Capacity Mounted on'\necho '/dev/x 9 9 {free_kb} 50% /'"


@pytest.mark.skipif(shutil.which("awk") is None, reason="needs awk")
def test_a_disk_that_is_too_small_for_an_install_is_told_and_nothing_else(tmp_path: Path) -> None:
    small = ask(tmp_path, 750, disk("500000"))
    assert small.returncode == 1
    assert f"not enough space: {tmp_path} needs 750 MB" in small.stderr
    assert "488 MB are free" in small.stderr
    assert "make VENV=" in small.stderr
    for enough in (ask(tmp_path, 750, disk("800000")), ask(tmp_path, 750, disk("-")), ask(tmp_path, 750, "exit 1")):
        assert (enough.returncode, enough.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("awk") is None, reason="needs awk")
def test_what_is_installed_already_counts_as_room(tmp_path: Path) -> None:
    (tmp_path / "library").write_bytes(os.urandom(3 << 20))
    assert ask(tmp_path, 4, disk("2048")).returncode == 0
    assert ask(tmp_path, 6, disk("2048")).returncode == 1
