"""Knowledge cards: the readable records that the knowledge index is built from.

    knowledge/cards/*.yaml      a list of cards, or of groups of cards, in each file
    - item: bottle                         as in the data set, or the name of a material in the grid
      item_aliases: [glass bottle, ...]
      material: glass
      source: general engineering knowledge
      cards:                               a group: what stands above holds for each card below
        - id: mvtec/bottle/broken_large    unique, stable
          anomaly_type: broken_large       verbatim name
          type_aliases: [large break, ...]
          appearance / cause / location / inspection: prose, one to three sentences each
          frequency: 1.0                   relative share among the item's types, used by `auto`
          variants:                        the ways in which it is drawn, most typical first
            - mechanism: chip
              weight: 0.7
              priors: {area_fraction: [0.01, 0.15], elongation: [1, 3], severity: [6, 25], contrast: darker, zones: [edge], count: [1, 1]}

Ranges are [low, high], the central 90 % of what is seen; sizes and severities are drawn log-uniformly inside them.
A user's card with the id of a shipped card replaces it. Cards of later folders come first, so they win every lookup.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import platformdirs
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from anomalyagent.errors import KnowledgeError
from anomalyagent.knowledge.names import head_of, is_suffix, plain_name, singular_name
from anomalyagent.knowledge.spec import Mechanism, Zone

__all__ = [
    "Card",
    "Contrast",
    "Priors",
    "Variant",
    "find_card",
    "guess_material",
    "load_cards",
    "match_item",
    "read_card_file",
    "types_for_item",
    "user_card_folder",
]

Contrast = Literal["darker", "lighter", "either"]
SHIPPED = Path(__file__).parent / "cards"
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


def user_card_folder() -> Path:
    """The folder whose cards are always loaded when it exists."""
    return Path(platformdirs.user_data_dir("anomalyagent")) / "cards"


def read_card_file(path: Path) -> list[Card]:
    """Cards of one YAML file.

    Raises:
        KnowledgeError: the file cannot be read, is no YAML, or a card is invalid (says file, card and field).
    """
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        entries = yaml.load(path.read_bytes(), Loader=loader)  # noqa: S506  (a safe loader)
    except OSError as error:
        raise KnowledgeError(f"cannot read the card file {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise KnowledgeError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(entries, list):
        raise KnowledgeError(f"{path}: a list of cards was expected, received {type(entries).__name__}. Start each card with '- '.")
    return [_parse_card(path, number, fields) for number, fields in enumerate(_flatten(path, cast("list[Any]", entries)), 1)]


def _flatten(path: Path, entries: list[Any]) -> Iterable[dict[str, Any]]:
    for entry in entries:
        if not isinstance(entry, dict):
            raise KnowledgeError(f"{path}: a card must be a mapping of fields, received {entry!r}")
        fields = cast("dict[str, Any]", entry)
        if "cards" not in fields:
            yield fields
            continue
        shared = {key: value for key, value in fields.items() if key != "cards"}
        members: Any = fields["cards"]
        if not isinstance(members, list):
            raise KnowledgeError(f"{path}: 'cards' of a group must be a list, received {type(members).__name__}")
        for member in cast("list[Any]", members):
            if not isinstance(member, dict):
                raise KnowledgeError(f"{path}: a card must be a mapping of fields, received {member!r}")
            yield {**shared, **cast("dict[str, Any]", member)}


def _parse_card(path: Path, number: int, fields: dict[str, Any]) -> Card:
    try:
        return Card.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "card"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        name = fields.get("id", f"number {number}")
        raise KnowledgeError(f"{path}: card {name}: field '{where}': {first['msg']}{more}") from error


def load_cards(folders: Iterable[Path] = (), *, with_user_folder: bool = True) -> list[Card]:
    """All cards: shipped, those of the user's card folder if it exists, those of `folders`.

    Args:
        folders: folders with YAML files of cards, read recursively, later ones win.
        with_user_folder: also read `user_card_folder()`.
    Returns:
        Cards without duplicate ids, those of later folders first, inside a folder in the order of file names.
    Raises:
        KnowledgeError: a folder is missing, a card is invalid, or one folder holds an id twice.
    """
    own = user_card_folder()
    standard = [SHIPPED, own] if with_user_folder and own.is_dir() else [SHIPPED]
    merged: dict[str, Card] = {}
    for folder in reversed([*standard, *folders]):
        for card_id, card in _folder_cards(folder).items():
            merged.setdefault(card_id, card)
    return list(merged.values())


_parsed: dict[tuple[Path, int, int], tuple[Card, ...]] = {}


def _folder_cards(folder: Path) -> Mapping[str, Card]:
    if not folder.is_dir():
        raise KnowledgeError(f"the card folder {folder} does not exist. Create it or remove it from knowledge.folders.")
    cards: dict[str, Card] = {}
    seen: dict[str, Path] = {}
    for path in sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")]):
        status = path.stat()
        key = (path, status.st_mtime_ns, status.st_size)
        if key not in _parsed:
            _parsed[key] = tuple(read_card_file(path))
        for card in _parsed[key]:
            if card.id in cards:
                raise KnowledgeError(f"{path}: card {card.id}: field 'id': already used in {seen[card.id]}. Give each card its own id.")
            cards[card.id] = card
            seen[card.id] = path
    return cards


def _match(query: str, names: Iterable[tuple[str, int]]) -> int | None:
    """Rank of the best match: 0 own name, 1 its singular, 2 an alias, 3 singular of an alias, 4 last words equal; None: no match."""
    plain, single, head = plain_name(query), singular_name(query), head_of(query)
    best: int | None = None
    for name, rank in names:
        if name == plain:
            found = rank
        elif name == single:
            found = max(rank, 1) if rank < 2 else 3
        elif name == head or is_suffix(name, head):
            found = 4
        else:
            continue
        best = found if best is None else min(best, found)
    return best


def match_item(cards: Sequence[Card], item: str) -> list[Card]:
    """Cards of the item whose name or alias fits best; empty when nothing fits. Materials of the grid count as items."""
    ranked = [(rank, card) for card in cards if (rank := _match(item, card.item_names)) is not None]
    # A listed item beats a material of the grid whose alias fits equally well.
    best = min(((rank, card.is_general) for rank, card in ranked), default=None)
    found = [card for rank, card in ranked if (rank, card.is_general) == best]
    return [card for card in found if card.item == found[0].item]


def find_card(cards: Sequence[Card], item: str, anomaly_type: str) -> Card | None:
    """The card of this item and type, by name or alias, whatever the case, separators and plurals; None if there is none.

    Last words count too: "old glass bottle" finds "bottle", "deep scratch on the rim" finds "scratch".
    """
    best: tuple[int, int, int] | None = None
    found: Card | None = None
    for card in cards:
        type_rank = _match(anomaly_type, card.type_names)
        if type_rank is None:
            continue
        item_rank = _match(item, card.item_names)
        if item_rank is None:
            continue
        rank = (item_rank, int(card.is_general), type_rank)
        if best is None or rank < best:
            best, found = rank, card
    return found


def guess_material(cards: Sequence[Card], item: str) -> str | None:
    """Material that the words of an unknown item speak of ("brass gear wheel" -> "metal"); None when no word is known."""
    words = singular_name(item)
    best: tuple[int, int] | None = None
    found: str | None = None
    for card in cards:
        for name, _ in card.item_names:
            position = f" {words} ".rfind(f" {name} ")
            # Longer names say more; among equals the later word is the head.
            if position >= 0 and not card.id.startswith(GENERIC_PREFIX) and (best is None or (len(name.split()), position) > best):
                best, found = (len(name.split()), position), card.material
    return found


def types_for_item(cards: Sequence[Card], item: str, material: str | None = None) -> list[Card]:
    """Cards of the anomaly types that fit an item, one for each type, most frequent first.

    An unknown item gets the grid's cards of its material: `material` if given, else guessed from the item's words, else
    the general cards of any material.
    """
    found = match_item(cards, item)
    if not found:
        known = material or guess_material(cards, item)
        found = [card for card in cards if card.is_general and known is not None and card.item == plain_name(known)]
        found = found or [card for card in cards if card.id.startswith(GENERIC_PREFIX)]
    unique: dict[str, Card] = {}
    for card in found:
        unique.setdefault(plain_name(card.anomaly_type), card)
    return sorted(unique.values(), key=lambda card: -card.frequency)
