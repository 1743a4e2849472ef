"""Practice tasks: photo, item and anomaly type that an agent is trained or measured on. Task i depends on the seed and i alone.

A source is a folder of photos of good parts, or one of the surfaces and parts that this program draws (`specimen`), with the
items whose knowledge cards fit what it shows. Item names and types come from those cards, so an agent meets hundreds of
pairs. Names in `held_out` are never practised; measuring uses sources and names of its own (`types`).
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from anomalyagent.errors import ConfigError, RunError
from anomalyagent.graph.inputs import find_normals
from anomalyagent.graph.tasks import derive_seed
from anomalyagent.graph.trace import Task
from anomalyagent.knowledge.cards import Card
from anomalyagent.knowledge.names import plain_name
from anomalyagent.mcp_tools.imaging.photo import encode_png, read_photo
from anomalyagent.mcp_tools.imaging.sizes import reduced
from anomalyagent.mcp_tools.judge.specimens import SPECIMENS, make_specimen
from anomalyagent.training.environment import Environment

__all__ = ["Practice", "PracticeSettings", "Source"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Section):
    """Photos, and what they may be called.

    Exactly one of `folder` and `specimen`; exactly one of `cards` and `item` (with `types`).
    """

    folder: Path | None = Field(default=None, description="Photos of good parts; relative to where the command is given.")
    specimen: str | None = Field(default=None, description=f"Drawn photos: {', '.join(SPECIMENS)}.")
    cards: list[str] = Field(default_factory=list[str], description="Items of knowledge cards that give names and types.")
    item: str | None = Field(default=None, description="Item name.")
    types: list[str] = Field(default_factory=list[str], description="Anomaly types of `item`.")

    @model_validator(mode="after")
    def _exactly_one(self) -> "Source":
        if (self.folder is None) == (self.specimen is None):
            raise ValueError("give exactly one of folder and specimen")
        if self.specimen is not None and self.specimen not in SPECIMENS:
            raise ValueError(f"unknown specimen {self.specimen!r}; known: {', '.join(SPECIMENS)}")
        if bool(self.cards) == (self.item is not None) or (self.item is not None) != bool(self.types):
            raise ValueError("give either cards, or item and types")
        return self


class PracticeSettings(_Section):
    """Where tasks come from."""

    sources: list[Source] = Field(min_length=1)
    held_out: list[str] = Field(
        default_factory=list[str], description="Item and type names that no task may have, kept for measuring."
    )
    sizes_px: list[Annotated[int, Field(ge=32, le=4096)]] = Field(
        default=[128, 192], min_length=1, description="Longer side of the photos, drawn for each task."
    )
    photos: int = Field(default=24, ge=1, description="Different photos of each drawn source.")


class Practice:
    """Tasks without end.

    Raises:
        ConfigError: a source has no photos, or no name is left.
    """

    def __init__(self, settings: PracticeSettings, cards: Sequence[Card], root: Path, seed: int) -> None:
        self._settings, self._cards, self._root, self._seed = settings, cards, root, seed
        self._kept = {plain_name(name) for name in settings.held_out}
        self._png: dict[tuple[int, int, int], tuple[str, str]] = {}
        self.names = [self._names_of(source) for source in settings.sources]

    def task(self, index: int, environment: Environment) -> Task:
        """Task number `index`; its photo is brought into the workspace."""
        rng = np.random.default_rng(derive_seed(self._seed, "practice", index))
        number = index % len(self._settings.sources)
        names = self.names[number]
        item, anomaly_type = names[int(rng.integers(len(names)))]
        size = self._settings.sizes_px[int(rng.integers(len(self._settings.sizes_px)))]
        ref, digest = self._photo(number, int(rng.integers(2**31)), size, environment)
        return Task(
            id=f"practice-{index:05d}",
            index=index,
            normal_image=ref,
            normal_sha256=digest,
            item_name=item,
            anomaly_type=anomaly_type,
            seed=derive_seed(self._seed, "task", index),
        )

    @cached_property
    def identity(self) -> str:
        """Fingerprint of the names that can be drawn."""
        return hashlib.sha256(repr((self._seed, self.names)).encode()).hexdigest()[:16]

    def _names_of(self, source: Source) -> list[tuple[str, str]]:
        if source.item is not None:
            return [(source.item, one) for one in source.types]
        found: list[tuple[str, str]] = []
        for card in self._cards:
            if card.item not in source.cards:
                continue
            items = [one for one in (card.item.replace("_", " "), *card.item_aliases) if plain_name(one) not in self._kept]
            types = [one for one in (card.anomaly_type, *card.type_aliases) if plain_name(one) not in self._kept]
            if plain_name(card.item) in self._kept or plain_name(card.anomaly_type) in self._kept:
                continue
            found += [(item, one) for item in items for one in types]
        if not found:
            raise ConfigError(
                f"no name is left for the source with cards {', '.join(source.cards)}: no card has these items, or all of "
                "their names are in practice.held_out."
            )
        return found

    def _photo(self, number: int, draw: int, size: int, environment: Environment) -> tuple[str, str]:
        source = self._settings.sources[number]
        count = self._settings.photos if source.specimen is not None else len(self._files[number])
        which = draw % count
        key = (number, which, size)
        if key not in self._png:
            if source.specimen is not None:
                rng = np.random.default_rng(derive_seed(self._seed, "photo", source.specimen, which))
                native = make_specimen(source.specimen, rng, size).native
            else:
                native = reduced(read_photo(self._files[number][which]).native, size)
            self._png[key] = environment.add_photo(encode_png(native))
        return self._png[key]

    @cached_property
    def _files(self) -> list[list[Path]]:
        return [self._files_of(source.folder) if source.folder is not None else [] for source in self._settings.sources]

    def _files_of(self, folder: Path) -> list[Path]:
        try:
            return [path for _, path in find_normals([self._root / folder])]
        except RunError as error:
            raise ConfigError(
                f"practice on {folder}: {error} Folders are looked for where the command is given ({self._root.absolute()}); "
                "those of the shipped configurations lie in a clone of the repository: give it there."
            ) from error
