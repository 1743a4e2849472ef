"""The records of `knowledge.cards`, checked when they are made."""

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

from anomalyagent.knowledge.names import plain_name, singular_name
from anomalyagent.knowledge.spec import Mechanism, Zone

__all__ = ["Card", "Contrast", "Priors", "Variant"]

Contrast = Literal["darker", "lighter", "either"]
MATERIAL_PREFIX = "material/"
GENERIC_PREFIX = "material/any/"


class Priors(BaseModel):
    """Numeric ranges of a DefectSpec, each [low, high]."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    area_fraction: tuple[float, float] = Field(description="Share of the object's area.")
    elongation: tuple[float, float] = Field((1.0, 2.5), description="Length / width.")
    orientation_deg: tuple[float, float] | None = Field(None, description="Degrees; null: along the local structure, or any.")
    severity: tuple[float, float] = Field((4.0, 16.0), description="Multiples of the just-noticeable difference.")
    contrast: Contrast = Field("either", description="Darker or lighter than the surface around it.")
    tint_ab: tuple[float, float] | None = Field(None, description="CIELAB (a, b) shift of its colour, e.g. rust [12, 25].")
    zones: tuple[Zone, ...] = Field(("any",), description="Where it sits, most typical first.")
    count: tuple[int, int] = Field((1, 1), description="Number of instances.")

    @model_validator(mode="after")
    def _check_ranges(self) -> "Priors":
        limits = {
            "area_fraction": (1e-5, 0.7),
            "elongation": (1.0, 200.0),
            "orientation_deg": (-180.0, 180.0),
            "severity": (0.5, 60.0),
            "count": (1, 16),
        }
        for name, (least, most) in limits.items():
            pair = cast("tuple[float, float] | None", getattr(self, name))
            if pair is not None and not least <= pair[0] <= pair[1] <= most:
                raise ValueError(f"{name}: {list(pair)} is not a range [low, high] inside {least:g}..{most:g}")
        if not self.zones:
            raise ValueError("zones: at least one zone is needed, e.g. [any]")
        return self


class Variant(BaseModel):
    """One way in which an anomaly type shows itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mechanism: Mechanism
    weight: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    priors: Priors


class Card(BaseModel):
    """What is known about one anomaly type of one item (or of a material)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9_./-]+$")
    item: str = Field(min_length=1)
    item_aliases: tuple[str, ...] = ()
    anomaly_type: str = Field(min_length=1)
    type_aliases: tuple[str, ...] = ()
    material: str
    appearance: str
    cause: str
    location: str
    inspection: str
    frequency: Annotated[float, Field(gt=0.0)] = 1.0
    variants: tuple[Variant, ...] = Field(min_length=1)
    source: str

    @property
    def mechanism(self) -> Mechanism:
        """Mechanism of the most typical variant."""
        return self.variants[0].mechanism

    @property
    def is_general(self) -> bool:
        """True for a card of the material x mechanism grid."""
        return self.id.startswith(MATERIAL_PREFIX)

    @property
    def is_generic(self) -> bool:
        """True for a card of the grid that holds for any material."""
        return self.id.startswith(GENERIC_PREFIX)

    @cached_property
    def item_names(self) -> tuple[tuple[str, int], ...]:
        """(name, rank) of every spelling of the item; rank 0 its own name, 1 in the singular, 2 an alias."""
        return _ranked(self.item, self.item_aliases)

    @cached_property
    def type_names(self) -> tuple[tuple[str, int], ...]:
        """(name, rank) of every spelling of the anomaly type."""
        return _ranked(self.anomaly_type, self.type_aliases)


def _ranked(name: str, aliases: Sequence[str]) -> tuple[tuple[str, int], ...]:
    ranks: dict[str, int] = {plain_name(name): 0}
    ranks.setdefault(singular_name(name), 1)
    for alias in aliases:
        ranks.setdefault(plain_name(alias), 2)
        ranks.setdefault(singular_name(alias), 2)
    return tuple(ranks.items())
