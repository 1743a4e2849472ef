"""DefectSpec: the structured form of an editing prompt, shared by tools and agents.

Every number is relative to the photographed object, so one spec works at any image size:

    center         (u, v) in the bounding box of the object's foreground, (0, 0) = its top left corner
    area_fraction  share of the foreground's area, all instances together
    severity       multiples of the local just-noticeable difference (JND): 1 = barely visible, 10 = obvious
    orientation    degrees, 0 = horizontal (image x axis), counter-clockwise as seen, modulo 180

A spec renders to an English prompt and an English prompt parses back to a spec: see `knowledge.words`.
"""

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from anomalyagent.configs.schema import SEEDS

__all__ = ["MECHANISMS", "NET_ELONGATION", "RANGES", "ZONES", "DefectSpec", "Mechanism", "Zone"]

Mechanism = Literal[
    "scratch",
    "crack",
    "dent",
    "hole",
    "chip",
    "stain",
    "discoloration",
    "contamination",
    "fibre",
    "abrasion",
    "cut",
    "bend",
    "missing",
    "swap",
    "print",
    "transplant",
]
"""How a defect comes about. Each has one renderer of the same name in `mcp_tools/procedural/mechanisms/`."""

Zone = Literal["any", "interior", "edge", "center", "top", "bottom", "left", "right"]
"""Where on the object: `edge` is along the foreground's outline, `interior` away from it, the others are parts of its box."""

MECHANISMS: tuple[Mechanism, ...] = get_args(Mechanism)
ZONES: tuple[Zone, ...] = get_args(Zone)
NET_ELONGATION = 3.0
"""A crack at most so many times as long as wide is no line but a net of fine cracks (crazing)."""

RANGES = {"area_fraction": (1e-5, 0.7), "elongation": (1.0, 200.0), "severity": (0.5, 60.0), "count": (1.0, 16.0)}
"""Least and most that these fields of a spec may hold."""

Unit = Annotated[float, Field(ge=0.0, le=1.0)]


class DefectSpec(BaseModel):
    """What to draw, where, how large and how strong. Unset optional fields are chosen by the renderer from `seed`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mechanism: Mechanism
    zone: Zone = "any"
    center: tuple[Unit, Unit] | None = Field(
        default=None,
        description="[u, v], 0..1 of the object's box from its top left",
    )
    area_fraction: float = Field(default=0.01, ge=1e-5, le=0.7, description="of the object")
    elongation: float = Field(default=1.5, ge=1.0, le=200.0, description="length / width")
    orientation_deg: float | None = Field(
        default=None,
        ge=-180.0,
        le=180.0,
        description="0 horizontal, counter-clockwise",
    )
    severity: float = Field(
        default=6.0,
        ge=0.5,
        le=60.0,
        description="1 barely visible, 10 obvious",
    )
    color_shift: tuple[float, float, float] | None = Field(
        default=None,
        description="CIELAB [dL, da, db], e.g. [-20, 0, 0] darker",
    )
    count: int = Field(default=1, ge=1, le=16)
    seed: int = Field(default=0, ge=0, lt=SEEDS)

    def instance_px(self, object_px: float) -> float:
        """Area of one instance, in pixels, on an object of so many pixels."""
        return self.area_fraction * object_px / self.count
