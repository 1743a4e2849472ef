"""Reading knowledge cards from YAML files, with a cache of what was parsed."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import TypeAdapter, ValidationError

from anomalyagent.configs.faults import first_fault
from anomalyagent.configs.paths import FileStamp, user_folder, write_whole
from anomalyagent.errors import KnowledgeError
from anomalyagent.knowledge import card_models
from anomalyagent.knowledge.cache import cache_folder
from anomalyagent.knowledge.card_models import Card

__all__ = ["load_cards", "read_card_file", "user_card_folder"]

SHIPPED = Path(__file__).parent / "cards"


def user_card_folder() -> Path:
    """The folder whose cards are always loaded when it exists."""
    return user_folder("data") / "cards"


def read_card_file(path: Path) -> list[Card]:
    """Cards of one YAML file.

    Raises:
        KnowledgeError: the file cannot be read, is no YAML, or a card is invalid (says file, card and field).
    """
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        entries = yaml.load(path.read_bytes(), Loader=loader)
    except OSError as error:
        raise KnowledgeError(f"cannot read the card file {path}: {error.strerror or error}") from error
    except (yaml.reader.ReaderError, UnicodeError) as error:
        raise KnowledgeError(f"{path}: not valid YAML in UTF-8: {_in_one_line(error)}. Save the file as UTF-8 text.") from error
    except yaml.YAMLError as error:
        raise KnowledgeError(f"{path}: not valid YAML: {_in_one_line(error)}") from error
    if not isinstance(entries, list):
        raise KnowledgeError(
            f"{path}: a list of cards was expected, received {type(entries).__name__}. Start each card with '- '."
        )
    return [_parse_card(path, number, fields) for number, fields in enumerate(_flatten(path, cast("list[Any]", entries)), 1)]


def _in_one_line(error: Exception) -> str:
    """What is wrong and where, lines counted from 1."""
    mark: Any = getattr(error, "problem_mark", None)
    if mark is None:
        return " ".join(str(error).replace('in "<byte string>", ', "").split())
    told = [text for name in ("context", "problem") if (text := getattr(error, name, None))]
    return f"{', '.join(told)} (line {mark.line + 1}, column {mark.column + 1})"


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
        fault = first_fault(error, "card")
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        name = fields.get("id", f"number {number}")
        raise KnowledgeError(f"{path}: card {name}: field '{fault.where}': {fault.problem}{more}") from error


def load_cards(folders: Iterable[Path] = (), *, with_user_folder: bool = True, cache_dir: Path | None = None) -> list[Card]:
    """All cards: shipped, those of the user's card folder if it exists, those of `folders`.

    Args:
        folders: folders with YAML files of cards, read recursively, later ones win.
        with_user_folder: also read `user_card_folder()`.
        cache_dir: where parsed cards are kept for the next process; None: the user's cache folder.
    Returns:
        Cards without duplicate ids, those of later folders first, inside a folder in the order of file names.
    Raises:
        KnowledgeError: a folder is missing, a card is invalid, or one folder holds an id twice.
    """
    own = user_card_folder()
    standard = [SHIPPED, own] if with_user_folder and _is_there(own) else [SHIPPED]
    merged: dict[str, Card] = {}
    for folder in reversed([*standard, *folders]):
        for card_id, card in _folder_cards(folder, cache_dir).items():
            merged.setdefault(card_id, card)
    return list(merged.values())


def _is_there(folder: Path) -> bool:
    """False also where the user may not look: HOME may still be that of another user (`sudo -u`)."""
    try:
        return folder.is_dir()
    except OSError:
        return False


_parsed: dict[tuple[tuple[Path, FileStamp], ...], dict[str, Card]] = {}
_CARDS = TypeAdapter(list[Card])


def _folder_cards(folder: Path, cache_dir: Path | None) -> dict[str, Card]:
    if not folder.is_dir():
        raise KnowledgeError(f"the card folder {folder} does not exist. Create it or remove it from knowledge.folders.")
    paths = sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")])
    try:
        key = tuple((path, FileStamp.of(path.stat())) for path in paths)
    except OSError as error:  # a link that leads nowhere
        raise _unreadable(error) from error
    if key not in _parsed:
        _parsed[key] = _read_folder(paths, cache_dir)
    return _parsed[key]


def _unreadable(error: OSError) -> KnowledgeError:
    return KnowledgeError(f"cannot read the card file {error.filename}: {error.strerror or error}. Mend or remove it.")


def _read_folder(paths: Sequence[Path], cache_dir: Path | None) -> dict[str, Card]:
    """YAML takes 0.3 s for the shipped cards, JSON 0.02 s: what was parsed and found valid is kept in the cache folder."""
    digest = sha256(Path(card_models.__file__).read_bytes())
    try:
        for path in paths:
            digest.update(path.read_bytes())
    except OSError as error:
        raise _unreadable(error) from error
    store = cache_folder(cache_dir) / f"cards-{digest.hexdigest()[:24]}.json"
    with suppress(OSError, ValueError):
        return {card.id: card for card in _CARDS.validate_json(store.read_bytes())}
    cards: dict[str, Card] = {}
    seen: dict[str, Path] = {}
    for path in paths:
        for card in read_card_file(path):
            if card.id in cards:
                raise KnowledgeError(
                    f"{path}: card {card.id}: field 'id': already used in {seen[card.id]}. Give each card its own id."
                )
            cards[card.id] = card
            seen[card.id] = path
    with suppress(OSError):
        write_whole(store, _CARDS.dump_json(list(cards.values())))
    return cards
