"""What differs between two specs, as an agent says it: `severity 2 -> 3.2`."""

from anomalyagent.knowledge.spec import DefectSpec

__all__ = ["tell_changes"]


def tell_changes(before: DefectSpec, after: DefectSpec) -> list[str]:
    """One phrase for each field that differs, in the order of the fields; the seed is left out."""
    return [
        f"{name} {_show(getattr(before, name))} -> {_show(getattr(after, name))}"
        for name in DefectSpec.model_fields
        if name != "seed" and getattr(before, name) != getattr(after, name)
    ]


def _show(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple):
        return "(" + ", ".join(_show(part) for part in value) + ")"
    return "open" if value is None else str(value)
