"""Writing files whole."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from anomalyagent.graph.files import link_or_copy, write_atomically


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
