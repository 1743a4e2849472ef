"""Draws DefectSpecs from the priors of a knowledge card, and brings a spec back inside them.

Sizes, elongations, severities and counts are log-uniform between the ends of their range: small is common, large is rare.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from anomalyagent.knowledge.cards import Card, Priors, Variant
from anomalyagent.knowledge.spec import RANGES, DefectSpec, Mechanism, Zone
from anomalyagent.knowledge.words.terms import TYPICAL

__all__ = ["clamp_to_priors", "sample_spec", "sample_typical"]

_COLORED_BY_GEOMETRY: Final[frozenset[Mechanism]] = frozenset({"dent", "bend", "missing", "swap", "transplant"})
"""Their tone comes from shading or from the photo itself: a contrast prior alone sets no colour."""

_ZONE_DECAY: Final = 0.6
"""Each zone of a card is this much rarer than the one named before it."""


def sample_spec(card: Card, rng: np.random.Generator | int) -> DefectSpec:
    """Draw one spec: a variant by weight, then every prior.

    Args:
        card: knowledge card.
        rng: a generator, or a seed that also becomes the spec's seed.
    Returns:
        Spec inside the variant's priors; centre unset (the renderer chooses inside the zone from the seed).
    """
    seed: int | None = None
    if not isinstance(rng, np.random.Generator):
        seed, rng = int(rng), np.random.default_rng(rng)
    weights = np.array([variant.weight for variant in card.variants])
    variant = card.variants[int(rng.choice(len(weights), p=weights / weights.sum()))]
    return _sample_variant(variant, rng, seed)


def _sample_variant(variant: Variant, rng: np.random.Generator, seed: int | None) -> DefectSpec:
    priors = variant.priors
    area = _log_uniform(rng, "area_fraction", priors.area_fraction)
    elongation = _log_uniform(rng, "elongation", priors.elongation)
    severity = _log_uniform(rng, "severity", priors.severity)
    low, high = sorted(priors.count)
    count = min(int(_log_uniform(rng, "count", (low, high + 0.999))), high, 16)
    decay = _ZONE_DECAY ** np.arange(len(priors.zones))
    zone: Zone = priors.zones[int(rng.choice(len(decay), p=decay / decay.sum()))]
    orientation = _orientation(rng, priors)
    color = _color(rng, variant.mechanism, priors, severity)
    return DefectSpec(
        mechanism=variant.mechanism,
        zone=zone,
        area_fraction=area,
        elongation=elongation,
        orientation_deg=orientation,
        severity=severity,
        color_shift=color,
        count=count,
        seed=int(rng.integers(2**31)) if seed is None else seed,
    )


def sample_typical(mechanism: Mechanism, seed: int) -> DefectSpec:
    """Draw a spec of a mechanism for which there is no card, around its middle values (`words.terms.TYPICAL`)."""
    typical = TYPICAL[mechanism]
    priors = Priors.model_validate(
        {
            "area_fraction": (typical.area_fraction / 3.0, min(3.0 * typical.area_fraction, 0.7)),
            "elongation": (max(1.0, typical.elongation / 2.0), 2.0 * typical.elongation),
            "severity": (typical.severity / 1.6, 1.6 * typical.severity),
        }
    )
    return _sample_variant(Variant(mechanism=mechanism, priors=priors), np.random.default_rng(seed), seed)


def clamp_to_priors(spec: DefectSpec, variants: Sequence[Variant]) -> DefectSpec:
    """The spec nearest to `spec` that a card's variants allow.

    A mechanism that no variant has becomes that of the variant with the largest weight, without its former colour and
    direction. No variants: the spec as it is.
    """
    if not variants:
        return spec
    same = [variant for variant in variants if variant.mechanism == spec.mechanism]
    if same:
        variant = min(same, key=lambda one: _distance(spec, one.priors))
        color, orientation = spec.color_shift, spec.orientation_deg
    else:
        variant = max(variants, key=lambda one: one.weight)
        color, orientation = None, None
    priors = variant.priors
    zone, center = spec.zone, spec.center
    if priors.zones and zone not in priors.zones and "any" not in priors.zones:
        zone, center = priors.zones[0], None
    if orientation is not None and priors.orientation_deg is not None:
        orientation = _clamp_angle(orientation, priors.orientation_deg)
    if color is not None:
        color = (_clamp_lightness(color[0], priors), color[1], color[2])
    return spec.model_copy(
        update={
            "mechanism": variant.mechanism,
            "zone": zone,
            "center": center,
            "area_fraction": _clamp("area_fraction", spec.area_fraction, priors.area_fraction),
            "elongation": _clamp("elongation", spec.elongation, priors.elongation),
            "severity": _clamp("severity", spec.severity, priors.severity),
            "count": round(_clamp("count", spec.count, priors.count)),
            "orientation_deg": orientation,
            "color_shift": color,
        }
    )


def _range(name: str, ends: tuple[float, float]) -> tuple[float, float]:
    """Ends in order, inside what a spec may hold."""
    least, most = RANGES[name]
    low, high = sorted(ends)
    return min(max(low, least), most), min(max(high, least), most + (1.0 if name == "count" else 0.0))


def _log_uniform(rng: np.random.Generator, name: str, ends: tuple[float, float]) -> float:
    low, high = _range(name, ends)
    value = math.exp(rng.uniform(math.log(low), math.log(high)))
    return min(max(value, low), high)


def _orientation(rng: np.random.Generator, priors: Priors) -> float | None:
    if priors.orientation_deg is None:
        return None
    low, high = priors.orientation_deg
    span = high - low if high >= low else high + 180.0 - low
    return float((low + rng.uniform(0.0, 1.0) * span) % 180.0)


def _color(
    rng: np.random.Generator, mechanism: Mechanism, priors: Priors, severity: float
) -> tuple[float, float, float] | None:
    """Lightness by the contrast prior, about 1.4 CIELAB units for each JND; hue by the tint prior."""
    lightness = float(np.clip(severity * rng.uniform(1.0, 1.8), 4.0, 45.0))
    either_sign = 1.0 if rng.random() < 0.5 else -1.0
    tint_scale = rng.uniform(0.7, 1.3)
    if priors.tint_ab is None:
        if priors.contrast == "either" or mechanism in _COLORED_BY_GEOMETRY:
            return None
        a = b = 0.0
    else:
        a, b = (tint_scale * value for value in priors.tint_ab)
    sign = {"darker": -1.0, "lighter": 1.0, "either": 0.3 * either_sign}[priors.contrast]
    return (round(sign * lightness, 2), round(a, 2), round(b, 2))


def _clamp(name: str, value: float, ends: tuple[float, float]) -> float:
    low, high = _range(name, ends)
    return min(max(value, low), high)


def _clamp_angle(angle: float, ends: tuple[float, float]) -> float:
    low, high = ends
    span = high - low if high >= low else high + 180.0 - low
    past_low = (angle - low) % 180.0
    if past_low <= span:
        return angle
    return (low if 180.0 - past_low < past_low - span else high) % 180.0


def _clamp_lightness(lightness: float, priors: Priors) -> float:
    if priors.contrast == "darker":
        return -abs(lightness)
    return abs(lightness) if priors.contrast == "lighter" else lightness


def _distance(spec: DefectSpec, priors: Priors) -> float:
    """How far the spec's size, shape and strength lie outside the priors, in natural logarithms."""
    pairs = (("area_fraction", priors.area_fraction), ("elongation", priors.elongation), ("severity", priors.severity))
    return sum(abs(math.log(getattr(spec, name) / _clamp(name, getattr(spec, name), ends))) for name, ends in pairs)
