"""The named faults of an anomaly image: what is measured for each, what to say, and how to change the spec.

A `Fault` turns measurements into one number that is 0 for a flawless image and grows with the fault. How much of it is
harmless and how much is gross is not written here but calibrated (`calibration.json`), see `calibration.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from anomalyagent.mcp_tools.contracts import Adjustment, Finding
from anomalyagent.mcp_tools.judge.expectation import STRUCTURAL
from anomalyagent.mcp_tools.judge.measuring import Measured

__all__ = ["FAULTS", "Fault", "make_finding", "no_visible_change"]

Advice = Callable[[Measured], tuple[str, Adjustment | None]]


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        name: stable, used in findings and in the calibration.
        about: the score that it belongs to.
        amount: how much of it there is, >= 0.
        message: the measurement in words with numbers.
        advice: the hint, and the same as a change of the spec.
    """

    name: str
    about: str
    amount: Callable[[Measured], float]
    message: Callable[[Measured], str]
    advice: Advice


def _always(hint: str, adjust: Adjustment | None = None) -> Advice:
    return lambda _: (hint, adjust)


RESAMPLE_SEED = Adjustment(field="seed", how="resample")
RESAMPLE_CENTER = Adjustment(field="center", how="resample")


def _zone_advice(measured: Measured) -> tuple[str, Adjustment]:
    zone = measured.placing.variant.priors.zones[0]
    return f"Place it on the {zone} part of the object.", Adjustment(field="zone", how="set", value=zone)


def _scale_advice(measured: Measured, *, shrink: bool) -> tuple[str, Adjustment]:
    low, high = measured.placing.variant.priors.area_fraction
    aim = (low * high) ** 0.5
    limits = (0.15, 0.6) if shrink else (1.6, 6.0)
    factor = round(min(limits[1], max(limits[0], aim / measured.placing.area_fraction)), 2)
    verb = "smaller" if shrink else "larger"
    return (
        f"Make it {verb}: about {100 * aim:.2g} % of the object.",
        Adjustment(field="area_fraction", how="multiply", value=factor),
    )


def _shape_advice(measured: Measured) -> tuple[str, Adjustment]:
    wanted = measured.placing.variant.mechanism
    low, high = measured.placing.variant.priors.elongation
    if measured.likeness.nearer is not None:
        return f"Draw a {wanted}, not something like a {measured.likeness.nearer}.", Adjustment(
            field="mechanism", how="set", value=wanted
        )
    aim = round((low * high) ** 0.5, 2)
    return f"Make it about {aim:g} times as long as wide.", Adjustment(field="elongation", how="set", value=aim)


def _describe_shape(measured: Measured) -> str:
    wanted, placing, nearer = measured.placing.variant, measured.placing, measured.likeness.nearer
    low, high = wanted.priors.elongation
    told: list[str] = []
    if placing.elongation_miss > 0.0:
        told.append(
            f"a {wanted.mechanism} should be {low:g} to {high:g} times as long as wide; it is {placing.elongation:.1f} times"
        )
    if placing.tone_miss > 0.0:
        told.append(f"it should be {wanted.priors.contrast} than its surroundings")
    if nearer is not None or not told:
        told.append(f"it looks more like a {nearer or 'another defect'} than like a {wanted.mechanism}")
    return ", and ".join(told)


def _lost_texture(measured: Measured) -> float:
    """Where a part is gone or has moved, what lies behind shows, with the texture that it has; and where an edge broke."""
    mechanism = measured.placing.variant.mechanism
    if mechanism in STRUCTURAL:
        return 0.0
    return measured.blending.soft_surface if mechanism == "chip" else measured.blending.too_soft


FAULTS: tuple[Fault, ...] = (
    Fault(
        "too_faint",
        "quality",
        lambda m: max(0.0, 6.0 - min(6.0, m.appearance.visibility)),
        lambda m: f"its stronger parts reach only {m.appearance.visibility:.1f} times the just-noticeable difference",
        _always("Make it stronger.", Adjustment(field="severity", how="multiply", value=1.6)),
    ),
    Fault(
        "too_strong",
        "quality",
        lambda m: m.appearance.excess_strength(m.placing.variant.priors.severity[1]),
        lambda m: (
            f"it reaches {m.appearance.visibility:.0f} times the just-noticeable difference, "
            f"{m.placing.variant.priors.severity[1]:g} is the most expected"
        ),
        _always("Make it weaker.", Adjustment(field="severity", how="multiply", value=0.6)),
    ),
    Fault(
        "oversized",
        "location",
        lambda m: m.placing.oversized,
        lambda m: (
            f"it covers {100 * m.placing.area_fraction:.2g} % of the object, "
            f"{100 * m.placing.variant.priors.area_fraction[1]:.2g} % is the most expected"
        ),
        lambda m: _scale_advice(m, shrink=True),
    ),
    Fault(
        "undersized",
        "location",
        lambda m: m.placing.undersized,
        lambda m: (
            f"it covers {100 * m.placing.area_fraction:.2g} % of the object, "
            f"{100 * m.placing.variant.priors.area_fraction[0]:.2g} % is the least expected"
        ),
        lambda m: _scale_advice(m, shrink=False),
    ),
    Fault(
        "off_object",
        "location",
        lambda m: m.placing.off_object,
        lambda m: f"{100 * m.placing.off_object:.0f} % of the change lies beside the object",
        _always("Move it onto the object.", RESAMPLE_CENTER),
    ),
    Fault(
        "wrong_zone",
        "location",
        lambda m: m.placing.wrong_zone,
        lambda m: (
            f"it lies far ({20 * m.placing.wrong_zone:.0f} % of the object's size or more) from where it occurs "
            f"({', '.join(m.placing.variant.priors.zones)})"
        ),
        _zone_advice,
    ),
    Fault(
        "wrong_shape",
        "quality",
        lambda m: m.placing.elongation_miss + m.placing.tone_miss + 0.15 * m.likeness.excess,
        _describe_shape,
        _shape_advice,
    ),
    Fault(
        "fragmented",
        "quality",
        lambda m: m.placing.surplus,
        lambda m: f"it falls into about {m.placing.pieces:.0f} parts, {m.placing.variant.priors.count[1]} at most are expected",
        _always("Draw fewer, connected parts.", Adjustment(field="count", how="set", value=1.0)),
    ),
    Fault(
        "hard_cut",
        "quality",
        lambda m: max(m.blending.seam * (0.6 + 0.4 * m.blending.straight), m.blending.straight_step),
        lambda m: (
            f"{100 * max(m.blending.seam, m.blending.straight_step):.0f} % of its outline is a visible step within one pixel, "
            f"{2**m.blending.seam_rise:.1f} times as steep as the photo elsewhere"
        ),
        _always("Let it fade into the surface over one or two pixels; try another seed.", RESAMPLE_SEED),
    ),
    Fault(
        "halo",
        "quality",
        lambda m: max(m.blending.halo, 0.4 * m.blending.smooth_ring),
        lambda m: (
            f"a ring of the opposite sign covers {100 * m.blending.halo:.0f} % of its rim"
            if m.blending.halo >= 0.4 * m.blending.smooth_ring
            else f"a ring around it has lost fine grain by a factor of {2**m.blending.smooth_ring:.1f}"
        ),
        _always("No glow or outline around it; try another seed.", RESAMPLE_SEED),
    ),
    Fault(
        "noise_mismatch",
        "quality",
        lambda m: max(m.blending.noise_gain, m.blending.noise_loss),
        lambda m: (
            f"its fine grain is {2**m.blending.noise_gain:.1f} times that of the photo"
            if m.blending.noise_gain >= m.blending.noise_loss
            else f"its fine grain is weaker than the photo's by a factor of {2**m.blending.noise_loss:.1f}"
        ),
        _always("Keep the grain of the photo inside it; try another seed.", RESAMPLE_SEED),
    ),
    Fault(
        "sharpness_mismatch",
        "quality",
        lambda m: max(m.blending.too_sharp * 4.0, _lost_texture(m)),
        lambda m: (
            f"its edges are steeper than the lens draws them (by {m.blending.too_sharp:.2f})"
            if m.blending.too_sharp * 4.0 >= _lost_texture(m)
            else f"its texture is softer than the photo's by a factor of {2**m.blending.too_soft:.1f}"
        ),
        _always("Match the sharpness of the photo; try another seed.", RESAMPLE_SEED),
    ),
    Fault(
        "flat_interior",
        "quality",
        lambda m: m.blending.flat,
        lambda m: f"it is uniform inside a sharp outline, like a sticker ({100 * m.blending.flat:.0f} %)",
        _always("Give it structure and a soft outline; try another seed.", RESAMPLE_SEED),
    ),
    Fault(
        "compression",
        "quality",
        lambda m: m.blending.blocking,
        lambda m: f"steps on the 8 x 8 grid of JPEG are {2**m.blending.blocking:.1f} times those between",
        _always("Return the image without lossy compression."),
    ),
    Fault(
        "wrong_light",
        "quality",
        lambda m: m.appearance.wrong_light,
        lambda m: f"it is shaded as if lit from the other side (strength {m.appearance.wrong_light:.2f})",
        _always(
            "Light it from the side of the scene's light; try another direction.",
            Adjustment(field="orientation_deg", how="resample"),
        ),
    ),
    Fault(
        "implausible_color",
        "quality",
        lambda m: 0.25 * m.appearance.foreign_color if m.expected.may_be_foreign else m.appearance.foreign_color,
        lambda m: f"its colours are {m.appearance.foreign_color:.0f} CIELAB units from any on the normal photo",
        _always("Use the colours of the object's own material; try another seed.", RESAMPLE_SEED),
    ),
    Fault(
        "background_drift",
        "quality",
        lambda m: m.blending.drift,
        lambda m: (
            f"{100 * m.blending.drift_share:.0f} % of all other pixels changed, typically by {m.blending.drift:.2f} CIEDE2000"
        ),
        _always("Edit only the defect and leave every other pixel as it is; try another seed.", RESAMPLE_SEED),
    ),
)


def no_visible_change() -> Finding:
    """The finding of an anomaly image that looks like the normal one."""
    return Finding(
        name="no_visible_change",
        weight=1.0,
        message="no change reaches the just-noticeable difference",
        hint="Make it stronger, or larger.",
        adjust=Adjustment(field="severity", how="multiply", value=2.0),
    )


def make_finding(fault: Fault, measured: Measured, weight: float) -> Finding:
    """The finding of a fault with its seriousness 0..1."""
    hint, adjust = fault.advice(measured)
    return Finding(name=fault.name, weight=round(weight, 3), message=fault.message(measured), hint=hint, adjust=adjust)
