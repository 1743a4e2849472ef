"""Which texts a sampler may write: patterns of pieces, each one of several texts.

`Grammar` follows a text character by character and says whether it can still become one of them; a sampler that skips every
token that it refuses draws from the model's own distribution, restricted to what is valid.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Grammar", "Piece", "State", "Vocabulary"]


@dataclass(frozen=True)
class Piece:
    """A part of a text: `choices`, of which exactly one is written."""

    choices: tuple[str, ...]


State = tuple[int, int, str]
"""Pattern, piece, and what was written of that piece."""


class Grammar:
    """Follows a text: `grammar.advance(states, data)` gives the states after it, none when it cannot become a valid one.

    Texts are followed as UTF-8 bytes, since a token may end inside a character; one byte is one character of Latin-1 here.
    """

    def __init__(self, patterns: Sequence[Sequence[Piece]]) -> None:
        self._patterns = [
            tuple(Piece(tuple(sorted(_as_bytes(text) for text in piece.choices))) for piece in pattern) for pattern in patterns
        ]

    def start(self) -> frozenset[State]:
        """Nothing is written yet."""
        return frozenset((number, 0, "") for number in range(len(self._patterns)))

    def advance(self, states: Iterable[State], data: bytes) -> frozenset[State]:
        """The states after `data` was written."""
        now = frozenset(states)
        for byte in data:
            now = frozenset(state for old in now for state in self._step(old, chr(byte)))
            if not now:
                break
        return now

    def complete(self, states: Iterable[State]) -> bool:
        """The text may end here."""
        return any(piece == len(self._patterns[number]) for number, piece, _ in states)

    def forced(self, states: Iterable[State]) -> bytes:
        """What must be written next, up to the end of its piece; empty where there is a choice."""
        only = list(states)
        if len(only) != 1 or only[0][1] == len(self._patterns[only[0][0]]):
            return b""
        number, piece, written = only[0]
        choices = self._patterns[number][piece].choices
        place = bisect_left(choices, written)
        fitting = [choice for choice in choices[place : place + 2] if choice.startswith(written) and choice != written]
        return fitting[0][len(written) :].encode("latin-1") if len(fitting) == 1 else b""

    def allowed(self, states: frozenset[State], vocabulary: "Vocabulary") -> list[int]:
        """The tokens that may be written next; what follows the same pieces is looked up once."""
        key = frozenset((self._patterns[number][piece:], written) for number, piece, written in states)
        if key in vocabulary.known:
            return list(vocabulary.known[key])
        found: list[int] = []
        for first, tokens in vocabulary.by_first_byte.items():
            if self.advance(states, bytes([first])):
                found += [token for token in tokens if self.advance(states, vocabulary.data[token])]
        vocabulary.known[key] = tuple(found)
        return found

    def _step(self, state: State, character: str) -> list[State]:
        number, piece, written = state
        pattern = self._patterns[number]
        if piece == len(pattern):
            return []
        choices, longer = pattern[piece].choices, written + character
        place = bisect_left(choices, longer)
        if place == len(choices) or not choices[place].startswith(longer):
            return []
        found: list[State] = []
        if choices[place] == longer:
            found.append((number, piece + 1, ""))
            place += 1
        if place < len(choices) and choices[place].startswith(longer):
            found.append((number, piece, longer))
        return found


class Vocabulary:
    """Tokens as bytes, found by the first one."""

    def __init__(self, data: Sequence[bytes]) -> None:
        self.data = data
        self.by_first_byte: dict[int, list[int]] = {}
        self.known: dict[frozenset[tuple[tuple[Piece, ...], str]], tuple[int, ...]] = {}
        for token, part in enumerate(data):
            if part:
                self.by_first_byte.setdefault(part[0], []).append(token)


def _as_bytes(text: str) -> str:
    return text.encode("utf-8", "surrogatepass").decode("latin-1")
