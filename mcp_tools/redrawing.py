"""image_gen that looks before it answers: it draws again, with the next seed, while its own check finds a drawing too poor."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from anomalyagent.configs.schema import SEEDS
from anomalyagent.errors import BackendError

if TYPE_CHECKING:  # loads the arrays and codecs
    from anomalyagent.mcp_tools.backends.base import Edited

__all__ = ["Kept", "draw_until_good"]


@dataclass(frozen=True)
class Kept:
    """The drawing that is kept.

    Attributes:
        edited: it, with the money and tokens of all drawings.
        seed: with which it was drawn; this seed and a single try draw it again.
        drawings: how many were made and checked.
    """

    edited: "Edited"
    seed: int
    drawings: int


def draw_until_good(
    draw: Callable[[int], "Edited"], check: Callable[["Edited"], float], *, seed: int, tries: int, enough: float
) -> Kept:
    """Draw with `seed`, then `seed + 1`, ..., until a drawing scores above `enough` or `tries` were made; the best is kept.

    Args:
        draw: makes the drawing of a seed.
        check: its score, 0..10; not asked when there is one try.
    Raises:
        BackendError: the first drawing failed. When a later one does, the best before it is kept.
    """
    first = draw(seed)
    if tries == 1:
        return Kept(first, seed, 1)
    made = [(check(first), first, seed)]
    failed: BackendError | None = None
    while made[-1][0] <= enough and len(made) < tries:
        used = (seed + len(made)) % SEEDS
        try:
            edited = draw(used)
        except BackendError as error:
            failed = error
            break
        made.append((check(edited), edited, used))
    score, best, used = max(made, key=lambda one: one[0])
    notes = list(best.notes)
    if len(made) > 1:
        all_scores = ", ".join(f"{each:.1f}" for each, _, _ in made)
        notes.append(f"the best of {len(made)} drawings by its own check, {score:.1f} of 10 ({all_scores})")
    if failed is not None:
        notes.append(f"drawing {len(made) + 1} failed: {failed}")
    paid = [*(edited for _, edited, _ in made), *([failed] if failed is not None else [])]
    cost_usd, tokens = sum(one.cost_usd for one in paid), sum(one.tokens for one in paid)
    return Kept(replace(best, cost_usd=cost_usd, tokens=tokens, notes=notes), used, len(made))
