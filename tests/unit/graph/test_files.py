"""Writing files whole."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from anomalyagent.errors import RunError
from anomalyagent.graph.files import alone_in, link_or_copy, temporary_beside, write_atomically


def test_threads_may_write_different_files_of_one_folder_at_once(tmp_path: Path) -> None:
    source, folder = tmp_path / "source", tmp_path / "new"
    source.write_bytes(b"s" * 4096)

    def write(number: int) -> None:
        write_atomically(folder / f"{number}.json", str(number).encode() * 2048)
        link_or_copy(source, folder / f"{number}.copy", link=number % 2 == 0)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(400)))
    assert {path.name for path in folder.iterdir()} == {f"{n}.{kind}" for n in range(400) for kind in ("json", "copy")}
    assert all((folder / f"{n}.json").read_bytes() == str(n).encode() * 2048 for n in range(400))
    assert all(path.read_bytes() == source.read_bytes() for path in folder.glob("*.copy"))


def test_one_at_a_time_works_in_a_folder(tmp_path: Path) -> None:
    with alone_in(tmp_path / "new"):
        with pytest.raises(RunError, match="another process"), alone_in(tmp_path / "new"):
            pass
        with alone_in(tmp_path / "other"):
            pass
    with alone_in(tmp_path / "new"):
        assert (tmp_path / "new").is_dir()


def test_temporary_names_of_one_file_differ(tmp_path: Path) -> None:
    names = {temporary_beside(tmp_path / "train.parquet") for _ in range(100)}
    assert len(names) == 100
    assert all(path.parent == tmp_path and path.name.startswith(".") for path in names)
