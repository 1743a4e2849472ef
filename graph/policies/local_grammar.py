"""What a small model may write in its next turn: only turns that can be read and that the rules allow.

The turns of a conversation are few, so they are spelled out: every legal call and answer as text, and for image_gen a
pattern of literal pieces and of numbers and words to choose from. `Grammar` follows a text character by character and
says whether it can still become one of them; a sampler that skips every token that it refuses draws from the model's own
distribution, restricted to valid turns.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from anomalyagent.graph.progress import View
from anomalyagent.graph.rules import check
from anomalyagent.graph.trace import Action, Answer, ToolCall
from anomalyagent.graph.wire import write_turn
from anomalyagent.knowledge.spec import ZONES

__all__ = [
    "THOUGHTS",
    "Grammar",
    "Piece",
    "State",
    "Vocabulary",
    "legal_calls",
    "plain_number",
    "turn_grammar",
    "write_image_call",
]

THOUGHTS = {
    "prompt_gen": ("I start with a prompt.",),
    "image_gen": ("I draw it.", "I change the spec and draw again."),
    "quality_eval": ("I have it judged.",),
    "knowledge_retrieval": ("I look up how it should look.",),
    "mask_gen": ("I take its mask.",),
    "success": ("Done.",),
    "failure": ("I give up.",),
}
"""The few thoughts that a policy from scratch has, by tool and kind of answer."""


@dataclass(frozen=True)
class Piece:
    """A part of a turn.

    Attributes:
        choices: texts of which exactly one is written, sorted.
        optional: number of pieces, this one first, that may be left out together; 0: it must be there.
    """

    choices: tuple[str, ...]
    optional: int = 0


State = tuple[int, int, str]
"""Pattern, piece, and what was written of that piece."""


class Grammar:
    """Follows a text: `grammar.advance(states, data)` gives the states after it, none when it cannot become a valid turn.

    Texts are followed as UTF-8 bytes, since a token may end inside a character; one byte is one character of Latin-1 here.
    """

    def __init__(self, patterns: Sequence[Sequence[Piece]]) -> None:
        self._patterns = [
            tuple(Piece(tuple(sorted(_as_bytes(text) for text in piece.choices)), piece.optional) for piece in pattern)
            for pattern in patterns
        ]

    def start(self) -> frozenset[State]:
        """Nothing is written yet."""
        return frozenset(state for number in range(len(self._patterns)) for state in self._enter(number, 0))

    def advance(self, states: Iterable[State], data: bytes) -> frozenset[State]:
        """The states after `data` was written."""
        now = frozenset(states)
        for byte in data:
            now = frozenset(state for old in now for state in self._step(old, chr(byte)))
            if not now:
                break
        return now

    def complete(self, states: Iterable[State]) -> bool:
        """The turn may end here."""
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
        """The tokens that may be written next, the end of the turn not counted."""
        # Past its opening, every turn of several pieces goes on in the same pieces, so what may follow is looked up once.
        key = frozenset((len(self._patterns[number]) - piece, written) for number, piece, written in states)
        inside = all(piece > 0 for _, piece, _ in states)
        if inside and key in vocabulary.known:
            return list(vocabulary.known[key])
        found: list[int] = []
        for first, tokens in vocabulary.by_first_byte.items():
            if self.advance(states, bytes([first])):
                found += [token for token in tokens if self.advance(states, vocabulary.data[token])]
        if inside:
            vocabulary.known[key] = tuple(found)
        return found

    def _enter(self, number: int, piece: int) -> list[State]:
        pattern = self._patterns[number]
        found: list[State] = [(number, piece, "")]
        if piece < len(pattern) and pattern[piece].optional:
            found += self._enter(number, piece + pattern[piece].optional)
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
            found += self._enter(number, piece + 1)
            place += 1
        if place < len(choices) and choices[place].startswith(longer):
            found.append((number, piece, longer))
        return found


class Vocabulary:
    """Tokens as bytes, found by the first one."""

    def __init__(self, data: Sequence[bytes]) -> None:
        self.data = data
        self.by_first_byte: dict[int, list[int]] = {}
        self.known: dict[frozenset[tuple[int, str]], tuple[int, ...]] = {}
        for token, part in enumerate(data):
            if part:
                self.by_first_byte.setdefault(part[0], []).append(token)


def turn_grammar(view: View) -> Grammar:
    """The legal turns at this point of a conversation."""
    return Grammar([*([Piece((text,))] for text in _fixed_turns(view)), *_image_turns(view)])


def write_image_call(item: str, anomaly_type: str, spec: Mapping[str, object]) -> ToolCall:
    """The image_gen call of a policy from scratch: few words, since the spec says it all."""
    prompt = f"Part: {item}. Defect: {anomaly_type}. Kind: {spec['mechanism']}."
    return ToolCall(name="image_gen", arguments={"image": 1, "prompt": prompt, "spec": dict(spec)})


def plain_number(value: float) -> float | int:
    """Two significant digits, without a point where there is none to write."""
    short = float(f"{value:.2g}")
    return int(short) if short == int(short) else short


def _as_bytes(text: str) -> str:
    return text.encode("utf-8", "surrogatepass").decode("latin-1")


def legal_calls(view: View, more: Sequence[Action] = ()) -> list[Action]:
    """Every legal call and answer whose arguments leave no choice; with `more`, the legal ones of those instead."""
    if more:
        return [action for action in more if check(view, action) is None]
    task, progress = view.task, view.progress
    names = {"item_name": task.item_name, "anomaly_type": task.anomaly_type}
    actions: list[Action] = [
        ToolCall(name="prompt_gen", arguments={"image": 1, **names}),
        ToolCall(name="knowledge_retrieval", arguments=dict(names)),
    ]
    rounds = len(progress.rounds)
    for one in progress.rounds:
        pair = {"normal_image": 1, "anomaly_image": one.number}
        actions.append(ToolCall(name="quality_eval", arguments={**pair, **names}))
        actions.append(ToolCall(name="mask_gen", arguments=pair))
        actions.append(_answer(one.passed, one.number, progress.mask_of(one.number) is not None, rounds))
    actions.append(_answer(False, None, False, rounds))
    return [action for action in actions if check(view, action) is None]


def _fixed_turns(view: View) -> list[str]:
    return [
        write_turn(thought, action)
        for action in legal_calls(view)
        for thought in THOUGHTS[action.name if isinstance(action, ToolCall) else getattr(action, "status", "")]
    ]


def _answer(passed: bool, number: int | None, masked: bool, rounds: int) -> Answer:
    logic = f"{'passed' if passed else 'not passed'} after {rounds} {'round' if rounds == 1 else 'rounds'}"
    status = "success" if passed else "failure"
    return Answer(status=status, final_image_index=number, mask_generated=masked, synthesis_logic=logic)


def _image_turns(view: View) -> list[list[Piece]]:
    found: list[list[Piece]] = []
    for mechanism in _mechanisms(view):
        for thought in THOUGHTS["image_gen"]:
            call = write_image_call(view.task.item_name, view.task.anomaly_type, {"mechanism": mechanism})
            if check(view, call) is not None:
                return []
            opening = write_turn(thought, call).removesuffix("}}}</tool_call>")
            found.append([Piece((opening,)), *_SPEC, Piece(("}}}</tool_call>",))])
    return found


def _mechanisms(view: View) -> list[str]:
    """What prompt_gen chose, what the retrieved cards allow, what the judge asked for."""
    progress = view.progress
    names: list[str] = [] if progress.prompt is None else [progress.prompt.spec.mechanism]
    names += [variant.mechanism for found in progress.knowledge for card in found.cards[:1] for variant in card.variants]
    for one in progress.rounds:
        for finding in one.evaluation.findings if one.evaluation else []:
            if finding.adjust is not None and finding.adjust.field == "mechanism":
                names.append(str(finding.adjust.value))
    return list(dict.fromkeys(names))


def _numbers(low: float, high: float) -> tuple[str, ...]:
    """All numbers of two significant digits from `low` to `high`, as JSON writes them, sorted as texts."""
    found: set[float] = set()
    for exponent in range(-5, 3):
        found |= {float(f"{digits}e{exponent - 1}") for digits in range(10, 100)}
    return tuple(sorted(f"{plain_number(value)}" for value in found if low <= value <= high))


def _whole(low: int, high: int) -> tuple[str, ...]:
    return tuple(sorted(str(value) for value in range(low, high + 1)))


_UNIT = tuple(sorted({str(plain_number(hundredth / 100)) for hundredth in range(101)}))
_COLOR = _whole(-80, 80)
_SPEC = (
    Piece((', "zone": "',)),
    Piece(tuple(sorted(ZONES))),
    Piece(('"',)),
    Piece((', "center": [',), optional=5),
    Piece(_UNIT),
    Piece((", ",)),
    Piece(_UNIT),
    Piece(("]",)),
    Piece((', "area_fraction": ',)),
    Piece(_numbers(1e-4, 0.7)),
    Piece((', "elongation": ',)),
    Piece(_numbers(1.0, 200.0)),
    Piece((', "orientation_deg": ',), optional=2),
    Piece(_whole(0, 179)),
    Piece((', "severity": ',)),
    Piece(_numbers(0.5, 60.0)),
    Piece((', "color_shift": [',), optional=7),
    Piece(_COLOR),
    Piece((", ",)),
    Piece(_COLOR),
    Piece((", ",)),
    Piece(_COLOR),
    Piece(("]",)),
    Piece((', "count": ',), optional=2),
    Piece(_whole(2, 16)),
)
