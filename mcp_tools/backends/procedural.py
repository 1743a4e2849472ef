"""image_gen without a model: the spec is drawn with `mcp_tools.procedural`, or a real defect of the user is transplanted.

Options:
    zone_mask: image of the photos' shape; defects only where it is white (at least half bright).
    reference: folder of real defects with masks (`procedural/references.py`).
    reference_share: 0..1, how often one of them is transplanted instead of drawing (0.5).
    placement: known (on the object, in the zone, along the structure) or anywhere in the frame (for ablations).
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from anomalyagent.configs.paths import expand_home
from anomalyagent.errors import ConfigError, ImageError, ToolInputError
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words import mechanism_of, read_prompt
from anomalyagent.mcp_tools.backends.base import Edited
from anomalyagent.mcp_tools.imaging.arrays import Mask
from anomalyagent.mcp_tools.imaging.photo import Photo, read_mask
from anomalyagent.mcp_tools.imaging.scene import Scene, scene_of
from anomalyagent.mcp_tools.imaging.sizes import alike_in_shape
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.named_renderer import named_renderer
from anomalyagent.mcp_tools.procedural.real_defect import RealDefect
from anomalyagent.mcp_tools.procedural.references import Donor, check_references, choose_donor, load_references

__all__ = ["ProceduralImageGen"]

_NOTABLE = 1.6  # achieved over wanted area (or the inverse) that is worth telling
_OPTIONS = ("zone_mask", "reference", "reference_share", "placement")
_DRAW_DONOR = 17


class _WholeFrame(Scene):
    """A scene that knows nothing of an object: the whole frame may be changed."""

    @cached_property
    def foreground(self) -> Mask:
        """(H, W) bool, all true."""
        return np.ones(self.photo.shape, np.bool_)


class ProceduralImageGen:
    """Draws defects by their physics: same photo, spec and seed, same pixels. Options: see the module docstring."""

    name = "procedural"

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        given = dict(options or {})
        for key in given:
            if key not in _OPTIONS:
                raise ConfigError(f"unknown option {key!r} of image_gen backend 'procedural'; known: {', '.join(_OPTIONS)}.")
        self._zone_file = expand_home(given["zone_mask"]) if given.get("zone_mask") else None
        self._reference = expand_home(given["reference"]) if given.get("reference") else None
        share = given.get("reference_share", 0.5)
        if not isinstance(share, int | float) or not 0.0 <= share <= 1.0:
            raise ConfigError(f"option reference_share of image_gen backend 'procedural' is 0 to 1; received {share!r}.")
        self._share = float(share)
        placement = given.get("placement", "known")
        if placement not in ("known", "anywhere"):
            raise ConfigError(
                f"option placement of image_gen backend 'procedural' is known or anywhere; received {placement!r}."
            )
        self._anywhere = placement == "anywhere"

    def check_files(self) -> list[str]:
        """Read the files that the options name; what a user should know of them, in words.

        Raises:
            ImageError: the zone mask or the references cannot be read, or hold nothing.
        """
        if self._zone is not None and not self._zone.any():
            raise ImageError(f"the zone mask {self._zone_file} is black all over. Paint white where defects may be.")
        return [] if self._reference is None else check_references(self._reference)

    @cached_property
    def _zone(self) -> Mask | None:
        return None if self._zone_file is None else read_mask(self._zone_file)

    @cached_property
    def _donors(self) -> list[Donor]:
        return [] if self._reference is None else load_references(self._reference)

    def edit(self, photo: Photo, prompt: str, spec: DefectSpec | None, seed: int) -> Edited:
        """Draw a defect.

        Args:
            prompt: read when there is no spec; besides, it may say what foreign matter is (glue, metal, dust), and how the
                part breaks (concrete, paint).
            spec: what to draw; its seed is replaced by `seed`.
        Raises:
            BackendError: nothing visible can be drawn where the spec asks for it.
            ImageError: the zone mask or the references cannot be read.
            ToolInputError: the zone mask has another shape than the photo.
        """
        notes: list[str] = []
        if spec is None:
            reading = read_prompt(prompt)
            spec, notes = reading.spec, list(reading.notes)
        wanted = spec.model_copy(update={"seed": seed})
        donor = self._pick_donor(wanted)
        if donor is not None:
            wanted = wanted.model_copy(update={"count": 1})
            notes.append(f"transplanted from a real defect{f' of type {donor.anomaly_type!r}' if donor.anomaly_type else ''}")
        scene = scene_of(photo, self._legal(photo))
        if self._anywhere:
            scene = _WholeFrame(photo, self._legal(photo))
            any_angle = float(np.random.default_rng([seed, _DRAW_DONOR, 1]).uniform(0.0, 180.0))
            wanted = wanted.model_copy(update={"zone": "any", "center": None, "orientation_deg": any_angle})
        drawn = render_defect(scene, wanted, named_renderer(scene, wanted, prompt) if donor is None else RealDefect(donor))
        ratio = drawn.spec.area_fraction / wanted.area_fraction
        if not 1.0 / _NOTABLE < ratio < _NOTABLE:
            notes.append(
                f"visible area is {drawn.spec.area_fraction:.2g} of the object, {wanted.area_fraction:.2g} was asked for"
            )
        return Edited(drawn.photo, drawn.mask, drawn.spec, notes=notes)

    def _pick_donor(self, spec: DefectSpec) -> Donor | None:
        """A reference of the spec's mechanism, now and then; None: draw."""
        rng = np.random.default_rng([spec.seed, _DRAW_DONOR])
        if not self._donors or rng.random() >= self._share:
            return None
        fitting = [
            donor
            for donor in self._donors
            if not donor.anomaly_type or mechanism_of(donor.anomaly_type).mechanism == spec.mechanism
        ]
        return choose_donor(fitting or self._donors, spec, rng)

    def _legal(self, photo: Photo) -> Mask | None:
        if self._zone is None:
            return None
        (height, width), (rows, columns) = photo.shape, self._zone.shape
        if not alike_in_shape(photo.shape, self._zone.shape):
            raise ToolInputError(
                f"the zone mask is {columns} x {rows}, the photo {width} x {height}: not the same shape. "
                "Draw it on one of the photos."
            )
        if self._zone.shape == photo.shape:
            return self._zone
        resized = cv2.resize(self._zone.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        return np.asarray(resized, np.bool_)
