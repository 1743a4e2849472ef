"""Knowledge cards: the readable records that the knowledge index is built from.

    knowledge/cards/*.yaml      a list of cards in each file
    - id: mvtec/bottle/broken_large        unique, stable
      item: bottle                         as in the data set, or the name of a material in the grid
      item_aliases: [glass bottle, ...]
      anomaly_type: broken_large           verbatim name
      type_aliases: [large break, ...]
      material: glass
      appearance / cause / location / inspection: prose, one to three sentences each
      frequency: 1.0                       relative share among the item's types, used by `auto`
      variants:                            the ways in which it is drawn, most typical first
        - mechanism: chip
          weight: 0.7
          priors: {area_fraction: [0.01, 0.15], elongation: [1, 3], severity: [6, 25], contrast: darker, zones: [edge], count: [1, 1]}
      source: general engineering knowledge

Ranges are [low, high], the central 90 % of what is seen; sizes and severities are drawn log-uniformly inside them.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from anomalyagent.knowledge.spec import Mechanism, Zone

__all__ = ["Card", "Contrast", "Priors", "Variant"]

Contrast = Literal["darker", "lighter", "either"]


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
    item: str
    item_aliases: tuple[str, ...] = ()
    anomaly_type: str
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
