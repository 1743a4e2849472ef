"""The normal images of a run: found, hashed, and brought into the run folder as PNG.

    <run>/dataset/<item>/train/good/000.png ...      in the order of the given paths, inside a folder by name

What cannot be read, or shows nothing at all, is skipped with a warning and listed in run.json.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from anomalyagent.configs.schema import LimitSettings
from anomalyagent.errors import ImageError, RunError
from anomalyagent.graph.dataset import photo_behind
from anomalyagent.graph.files import remove_temporaries
from anomalyagent.mcp_tools.imaging.importing import import_photo
from anomalyagent.mcp_tools.imaging.normal_set import Look, is_blank, look_of, unlike_others
from anomalyagent.mcp_tools.imaging.sizes import alike_in_shape
from anomalyagent.mcp_tools.imaging.suffixes import IMAGE_SUFFIXES

__all__ = ["UNLIKE", "Inputs", "Normal", "Skipped", "find_normals", "hash_file", "import_normals"]

UNREAD_SUFFIXES = frozenset(
    {".heic", ".heif", ".avif", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".jfif", ".psd"}
)
"""Photos as phones, cameras and browsers store them, which are not read; a user must not miss them without a word."""


_BLANK = "it is one colour all over, as from a covered lens"
UNLIKE = "it is unlike the other photos: make sure that it shows a good part"
"""Note of such a photo."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Normal(_Record):
    """One normal image."""

    source: str = Field(description="Name of the user's file, relative to the folder it was found in.")
    source_sha256: str = Field(description="Of the user's file.")
    ref: str = Field(description="In the run folder.")
    notes: list[str] = Field(default_factory=list, description="What was converted.")


class Skipped(_Record):
    """A file that could not be used."""

    source: str
    source_sha256: str
    reason: str


class Inputs(_Record):
    """All normal images of a run."""

    normals: list[Normal]
    skipped: list[Skipped]

    def identity(self) -> dict[str, str]:
        """Source name -> hash of everything that was looked at, readable or not."""
        return {one.source: one.source_sha256 for one in [*self.normals, *self.skipped]}


def find_normals(paths: Sequence[Path], say: Callable[[str], None] = lambda _text: None) -> list[tuple[str, Path]]:
    """Candidates as (name, path): files as given; the images of a folder by name; `train/good` of an MVTec category.

    In a folder, a photo with harmless differences beside the photo that it was made of is none of its own.

    Args:
        say: told how many such photos, and how many of formats that are not read or in folders below, were left out.
    Raises:
        RunError: a path does not exist, or there is no image file at all.
    """
    if not paths:
        raise RunError("no normal images were given. Name a folder with photos of good parts.")
    found: list[tuple[str, Path]] = []
    for path in paths:
        if path.is_dir():
            inside = path / "train" / "good" if (path / "train" / "good").is_dir() else path
            listed = _listed(inside)
            images = sorted((file for file in listed if file.suffix.lower() in IMAGE_SUFFIXES), key=lambda file: file.name)
            unread = Counter(suffix for file in listed if (suffix := file.suffix.lower()) in UNREAD_SUFFIXES)
            left_out = ", ".join(f"{count} {suffix}" for suffix, count in sorted(unread.items()))
            if not images:
                kinds = ", ".join(sorted(IMAGE_SUFFIXES))
                convert = f" It holds photos that cannot be read ({left_out}): save them as JPEG or PNG." if unread else ""
                raise RunError(f"{_empty(inside)}{convert} Name a folder with photos of good parts ({kinds}).")
            if unread:
                say(f"photos in {inside} that cannot be read are left out ({left_out}): save them as JPEG or PNG to use them.")
            if below := _photos_below(listed):
                folders = ", ".join(f"{count} in {name}" for name, count in below.items())
                say(f"photos in folders below {inside} are left out ({folders}): name such a folder, too, to use them.")
            stems = {file.stem for file in images}
            photos = [file for file in images if photo_behind(file) not in stems]
            if varied := len(images) - len(photos):
                example = next(file.name for file in images if photo_behind(file) in stems)
                what = f"{varied} good photos with harmless differences ({example}, ...)"
                say(f"{what} in {inside} are left out: the photos that they were made of are there.")
            found += [(file.name, file) for file in photos]
        elif path.exists():
            found.append((path.name, path))
        else:
            raise RunError(f"{path} does not exist. Name a folder with photos of good parts, or image files.")
    return _distinct(found)


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes; of an unreadable one, or what is no file (a pipe would never end), the empty string."""
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def import_normals(
    candidates: Sequence[tuple[str, Path]],
    run_dir: Path,
    folder: str,
    limits: LimitSettings,
    *,
    jobs: int,
    report: Callable[[int, int, str | None], None],
    zone_shape: tuple[int, int] | None = None,
) -> Inputs:
    """Bring the candidates into `run_dir/folder`, numbered without gaps; what an import of others left there is deleted.

    Args:
        report: called with (done, of, warning or None) after each.
        zone_shape: (height, width) of the zone mask; photos of another shape are left out.
    Raises:
        RunError: none could be read, or all show nothing or do not fit the zone mask.
        WorkspaceError: the run folder cannot be written.
    """

    def bring(numbered: tuple[int, tuple[str, Path]]) -> tuple[Path, str, list[str], Look] | str:
        number, (_, path) = numbered
        target = run_dir / folder / f".{number}.part"
        try:
            done = import_photo(
                path,
                target,
                max_pixels=limits.max_image_pixels,
                max_bytes=limits.max_image_bytes,
                min_side_px=limits.min_image_side_px,
            )
        except ImageError as error:
            return str(error)
        if is_blank(done.photo):
            target.unlink()
            return f"{_BLANK}. Take a photo of a good part."
        if zone_shape is not None and not alike_in_shape(done.photo.shape, zone_shape):
            target.unlink()
            (rows, columns), (height, width) = zone_shape, done.photo.shape
            return (
                f"the zone mask is {columns} x {rows}, the photo {width} x {height}: not the same shape. "
                "Make a run of its own for such photos, with a mask drawn on one of them."
            )
        return target, done.source_sha256, list(done.photo.notes), look_of(done.photo)

    inputs, looks = Inputs(normals=[], skipped=[]), list[Look]()
    remove_temporaries(run_dir / folder)
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        for done, ((name, path), brought) in enumerate(
            zip(candidates, _in_order(pool, bring, candidates, 4 * jobs), strict=True), 1
        ):
            if isinstance(brought, str):
                inputs.skipped.append(Skipped(source=name, source_sha256=hash_file(path), reason=brought))
                report(done, len(candidates), f"skipped {name}: {brought}")
                continue
            temporary, digest, notes, look = brought
            ref = f"{folder}/{len(inputs.normals):03d}.png"
            temporary.replace(run_dir / ref)
            inputs.normals.append(Normal(source=name, source_sha256=digest, ref=ref, notes=notes))
            looks.append(look)
            report(done, len(candidates), None)
    if not inputs.normals:
        reasons = "; ".join(one.reason for one in inputs.skipped[:3])
        raise RunError(f"none of the {len(candidates)} normal images can be used: {reasons}")
    for number in unlike_others(looks):
        inputs.normals[number].notes.append(UNLIKE)
    for path in (run_dir / folder).glob("*.png"):
        if path.stem.isdecimal() and int(path.stem) >= len(inputs.normals):
            path.unlink()
    return inputs


def _in_order(pool: ThreadPoolExecutor, work: Callable[[Any], Any], items: Iterable[Any], ahead: int) -> Iterator[Any]:
    """`pool.map(work, enumerate(items))` that holds at most `ahead` results."""
    waiting = []
    for numbered in enumerate(items):
        waiting.append(pool.submit(work, numbered))
        if len(waiting) > ahead:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()


def _listed(folder: Path) -> list[Path]:
    try:
        return [file for file in folder.iterdir() if not file.name.startswith(".")]
    except OSError as error:
        raise RunError(f"cannot list {folder}: {error.strerror or error}. Check its permissions.") from error


def _photos_below(listed: Iterable[Path]) -> dict[str, int]:
    """Photos directly in the folders among `listed`, by the folder's name."""
    counted = dict[str, int]()
    for folder in sorted(file for file in listed if file.is_dir()):
        try:
            count = sum(file.suffix.lower() in IMAGE_SUFFIXES | UNREAD_SUFFIXES for file in _listed(folder))
        except RunError:
            continue  # it may be closed to us: none of its photos was asked for
        if count:
            counted[folder.name] = count
    return counted


def _empty(folder: Path) -> str:
    below = ", ".join(sorted(child.name for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))[:5])
    return f"{folder} holds no image file{'; it holds the folders ' + below if below else ''}."


def _distinct(found: list[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """Each file once, each under a name of its own: files of the same name are told apart by their folder, then by a number."""
    once = {os.path.realpath(path): (name, path) for name, path in reversed(found)}  # `resolve` raises at a loop of links
    kept = [pair for pair in found if once.pop(os.path.realpath(pair[1]), None) is not None]
    names = Counter(name for name, _ in kept)
    named = [(name if names[name] == 1 else f"{path.parent.name}/{name}", path) for name, path in kept]
    used: Counter[str] = Counter()
    result: list[tuple[str, Path]] = []
    for name, path in named:
        name = name.encode("utf-8", "backslashreplace").decode()  # a file's name may be no text, a manifest must be
        used[name] += 1
        result.append((name if used[name] == 1 else f"{name} ({used[name]})", path))
    return result
