"""Which backends each tool has: a thin table, nothing is imported before it is used.

Adding a backend is one file in `backends/` and one line here. Other packages join through the entry-point group
`anomalyagent.backends`, entry name `<tool>.<id>`, value `module:Class`; a setting may also name `module:Class` itself.

A backend class offers what `backends/base.py` asks for. Its constructor takes the options and, where it has parameters
of these names, `knowledge` (KnowledgeSettings), `prices` (of hosted models) and `make` (makes another backend of the same
tool: name, options). A classmethod `missing()` may say, cheaply, which one line would make the backend usable; None when
nothing is missing. A method `check_files()` may read the files that the options name, and raise what is wrong with them
and return what else should be known: before a run, not in each of its calls.
"""

import functools
import importlib
import inspect
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast, overload

from rapidfuzz import process

from anomalyagent.configs.schema import Settings, ToolSettings
from anomalyagent.errors import AnomalyAgentError, BackendUnavailableError, ConfigError
from anomalyagent.mcp_tools.contracts import TOOL_NAMES, ToolName

if TYPE_CHECKING:  # these load the arrays and codecs
    from anomalyagent.mcp_tools.backends.base import (
        ImageGenBackend,
        KnowledgeRetrievalBackend,
        MaskGenBackend,
        PromptGenBackend,
        QualityEvalBackend,
    )

__all__ = [
    "BACKENDS",
    "BackendStatus",
    "check_files",
    "create_backend",
    "describe_backends",
    "is_embedded",
    "is_hosted",
    "known_backends",
    "waits_for_a_model",
]

ENTRY_POINT_GROUP = "anomalyagent.backends"


class BackendEntry(NamedTuple):
    """Where a backend is, the extra that installs what it needs, and whether it runs here without any download."""

    target: str
    extra: str | None = None
    embedded: bool = False


_HERE = "anomalyagent.mcp_tools.backends"
BACKENDS: Mapping[ToolName, Mapping[str, BackendEntry]] = {
    "prompt_gen": {
        "template": BackendEntry(f"{_HERE}.template:TemplatePromptGen", embedded=True),
        "chat": BackendEntry(f"{_HERE}.chat:ChatPromptGen", extra="chat"),
    },
    "image_gen": {
        "procedural": BackendEntry(f"{_HERE}.procedural:ProceduralImageGen", embedded=True),
        "diffusers": BackendEntry(f"{_HERE}.diffusers:DiffusersImageGen", extra="diffusers"),
        "openai": BackendEntry(f"{_HERE}.openai:OpenAIImageGen", extra="api"),
        "gemini": BackendEntry(f"{_HERE}.gemini:GeminiImageGen", extra="api"),
    },
    "quality_eval": {
        "features": BackendEntry(f"{_HERE}.features:FeatureJudge", embedded=True),
        "vlm": BackendEntry(f"{_HERE}.vlm:ModelJudge", extra="chat"),
        "ensemble": BackendEntry(f"{_HERE}.ensemble:EnsembleJudge"),
    },
    "knowledge_retrieval": {
        "chroma": BackendEntry(f"{_HERE}.chroma:ChromaKnowledge", embedded=True),
        "semantic": BackendEntry(f"{_HERE}.semantic:SemanticKnowledge", extra="semantic"),
    },
    "mask_gen": {
        "change": BackendEntry(f"{_HERE}.change:ChangeMask", embedded=True),
        "sam": BackendEntry(f"{_HERE}.sam:SamMask", extra="sam"),
        "sam2": BackendEntry(f"{_HERE}.sam2:Sam2Mask", extra="sam2"),
    },
}


class BackendStatus(NamedTuple):
    """One line of `doctor`."""

    tool: ToolName
    name: str
    usable: bool
    missing: str
    """What to do to make it usable; empty when it is."""


@overload
def create_backend(tool: Literal["prompt_gen"], settings: Settings) -> "PromptGenBackend": ...
@overload
def create_backend(tool: Literal["image_gen"], settings: Settings) -> "ImageGenBackend": ...
@overload
def create_backend(tool: Literal["quality_eval"], settings: Settings) -> "QualityEvalBackend": ...
@overload
def create_backend(tool: Literal["knowledge_retrieval"], settings: Settings) -> "KnowledgeRetrievalBackend": ...
@overload
def create_backend(tool: Literal["mask_gen"], settings: Settings) -> "MaskGenBackend": ...
@overload
def create_backend(tool: ToolName, settings: Settings) -> Any: ...
def create_backend(tool: ToolName, settings: Settings) -> Any:
    """The backend that the settings name for `tool`, ready to be called.

    Raises:
        BackendUnavailableError: it is unknown, or something that it needs is missing.
        ConfigError: it refuses an option.
    """
    chosen = cast(ToolSettings, getattr(settings.tools, tool))
    return _make(tool, settings, chosen.backend, chosen.options)


def _make(tool: ToolName, settings: Settings, backend: str, options: Mapping[str, Any]) -> Any:
    kind = _load(tool, backend, _find(tool, backend))
    accepted = inspect.signature(kind).parameters
    make = functools.partial(_make, tool, settings)
    given = {"knowledge": settings.knowledge, "prices": settings.prices, "make": make}
    try:
        return kind(options, **{name: value for name, value in given.items() if name in accepted})
    except ValueError as error:  # how another package's backend refuses an option
        raise ConfigError(f"{tool} backend {backend!r} refuses its options: {error}.") from error


def known_backends(tool: ToolName) -> dict[str, BackendEntry]:
    """Name -> entry, the shipped ones first, then those of other packages."""
    known = dict(BACKENDS[tool])
    for point in entry_points(group=ENTRY_POINT_GROUP):
        owner, _, name = point.name.partition(".")
        if owner == tool and name and name not in known:
            known[name] = BackendEntry(point.value)
    return known


def is_embedded(tool: ToolName, name: str) -> bool:
    """True when the backend runs in this process and never leaves the machine."""
    entry = BACKENDS[tool].get(name)
    return entry is not None and entry.embedded


def waits_for_a_model(tool: ToolName, name: str) -> bool:
    """True of our own backends that load a model or ask a service: meanwhile the processor has time for something else."""
    entry = BACKENDS[tool].get(name)
    return entry is not None and not entry.embedded


def is_hosted(tool: ToolName, name: str) -> bool:
    """True when the backend asks a service: calls cost money, and the same call need not give the same answer."""
    entry = BACKENDS[tool].get(name)
    return entry is not None and entry.extra in ("api", "chat")


def describe_backends() -> list[BackendStatus]:
    """Every known backend of every tool, whether it can be used and what is missing if not."""
    found: list[BackendStatus] = []
    for tool in TOOL_NAMES:
        for name, entry in known_backends(tool).items():
            try:
                _load(tool, name, entry)
                missing = ""
            except AnomalyAgentError as error:
                missing = str(error)
            found.append(BackendStatus(tool, name, not missing, missing))
    return found


def check_files(backend: Any) -> list[str]:
    """Have a backend read the files that its options name, where it can; what a user should know of them, in words.

    Raises:
        AnomalyAgentError: one of them cannot be used.
    """
    check = getattr(backend, "check_files", None)
    return [] if check is None else check()


def _find(tool: ToolName, name: str) -> BackendEntry:
    if entry := BACKENDS[tool].get(name):
        return entry
    if ":" in name:
        return BackendEntry(name)
    known = known_backends(tool)
    if entry := known.get(name):
        return entry
    close = process.extractOne(name, list(known), score_cutoff=60)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise BackendUnavailableError(
        f"unknown {tool} backend {name!r}; known: {', '.join(known)}.{hint} Set tools.{tool}.backend in your config."
    )


def _load(tool: ToolName, name: str, entry: BackendEntry) -> Any:
    """The backend's class, checked for what it needs."""
    module_name, _, class_name = entry.target.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if entry.extra:
            fix = f"Run: pip install 'anomalyagent[{entry.extra}]'"
        elif error.name and f"{module_name}.".startswith(f"{error.name}."):  # no package name is guessed from a module's
            fix = "Correct the name, install the package that holds it, or put its folder on PYTHONPATH."
        else:
            fix = "Install it where anomalyagent is installed; the package that provides the backend says how."
        raise BackendUnavailableError(
            f"{tool} backend {name!r} needs the Python module {error.name!r}, which is not installed. {fix}"
        ) from error
    except Exception as error:  # another package's module may fail in any way; `doctor` must still list the others
        raise BackendUnavailableError(
            f"{tool} backend {name!r} cannot be loaded from {entry.target!r}: {type(error).__name__}: {error}. "
            "Reinstall the package that provides it."
        ) from error
    kind: Any = getattr(module, class_name, None)
    if kind is None:
        raise BackendUnavailableError(
            f"{tool} backend {name!r}: module {module_name!r} has no {class_name!r}. Name a class, as module:Class."
        )
    missing = getattr(kind, "missing", None)
    if callable(missing) and (line := missing()):
        raise BackendUnavailableError(f"{tool} backend {name!r} cannot be used: {line}")
    return kind
