"""The table of backends: what is known, what is missing, what is said about it."""

import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.tiny_backends import TinyKnowledge, tiny_settings

from anomalyagent.configs.schema import Settings, ToolSettings, ToolsSettings
from anomalyagent.errors import BackendUnavailableError, ConfigError
from anomalyagent.mcp_tools.contracts import TOOL_NAMES
from anomalyagent.mcp_tools.registry import BACKENDS, create_backend, describe_backends, is_embedded, known_backends


def _mask_settings(backend: str) -> Settings:
    return Settings(tools=ToolsSettings(mask_gen=ToolSettings(backend=backend)))


def test_every_tool_has_an_embedded_default_that_can_be_made() -> None:
    defaults = Settings().tools
    for tool in TOOL_NAMES:
        name = getattr(defaults, tool).backend
        assert is_embedded(tool, name)
        assert create_backend(tool, Settings()).name == name


def test_an_unknown_backend_is_answered_with_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(
        BackendUnavailableError, match=r"unknown mask_gen backend 'chnge'; known: change.*Did you mean 'change'"
    ) as caught:
        create_backend("mask_gen", _mask_settings("chnge"))
    assert "tools.mask_gen.backend" in str(caught.value)


def test_a_setting_may_name_a_class_of_ones_own() -> None:
    backend = create_backend("mask_gen", tiny_settings())
    assert backend.name == "tiny"


def test_a_backend_that_asks_for_knowledge_settings_gets_them(tmp_path: Path) -> None:
    settings = tiny_settings().model_copy(update={"knowledge": Settings().knowledge.model_copy(update={"folders": [tmp_path]})})
    backend = create_backend("knowledge_retrieval", settings)
    assert isinstance(backend, TinyKnowledge)
    assert backend.folders == [tmp_path]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("no_such_module_anywhere:Class", "no_such_module_anywhere"),
        ("helpers.tiny_backends:NoSuchClass", "NoSuchClass"),
        ("helpers.tiny_backends:NeedsSomething", "weights.bin is not there. Download it."),
    ],
)
def test_what_a_backend_lacks_is_said(target: str, said: str) -> None:
    with pytest.raises(BackendUnavailableError, match=said):
        create_backend("mask_gen", _mask_settings(target))


class NoOptions:
    name = "mine"

    def __init__(self, options: dict[str, Any]) -> None:
        if options:
            raise ValueError(f"unknown option {next(iter(options))}")

    @classmethod
    def missing(cls) -> str | None:
        return None


def test_an_option_that_a_backend_of_ones_own_refuses_is_a_line_not_a_traceback() -> None:
    mine = ToolSettings(backend=f"{__name__}:NoOptions", options={"foo": 1})
    with pytest.raises(ConfigError, match=r"mask_gen backend '.*:NoOptions' refuses its options: unknown option foo\.$"):
        create_backend("mask_gen", Settings(tools=ToolsSettings(mask_gen=mine)))


def test_doctor_hears_of_every_backend_of_every_tool() -> None:
    found = describe_backends()
    assert {(status.tool, status.name) for status in found} >= {(tool, name) for tool in BACKENDS for name in BACKENDS[tool]}
    assert all(status.usable and not status.missing for status in found if is_embedded(status.tool, status.name))


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("my_package.masks:MyMask", "'my_package', which is not installed. Correct the name, .* folder on PYTHONPATH"),
        ("mine.mask:MyMask", "'mine.mask', which is not installed. Correct the name"),
        ("mine.masks:MyMsk", "has no 'MyMsk'. Name a class, as module:Class"),
        ("mine.needy:MyMask", "'of_another_kind', which is not installed. Install it where anomalyagent is installed"),
    ],
)
def test_a_class_that_is_not_there_is_told_without_a_guess_at_what_to_install(
    target: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "mine"
    package.mkdir()
    for name, text in {"__init__": "", "masks": "class MyMask: ...\n", "needy": "import of_another_kind\n"}.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BackendUnavailableError, match=said) as told:
        create_backend("mask_gen", _mask_settings(target))
    assert "pip install" not in str(told.value)
    for name in [name for name in sys.modules if name.split(".")[0] == "mine"]:
        monkeypatch.delitem(sys.modules, name)


def test_other_packages_join_by_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "thirdparty-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: thirdparty\nVersion: 1.0\n")
    entries = {"third": "TinyMask", "needy": "NeedsSomething"}
    lines = [f"mask_gen.{name} = helpers.tiny_backends:{kind}" for name, kind in entries.items()]
    (package / "entry_points.txt").write_text("\n".join(["[anomalyagent.backends]", *lines]))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert "third" in known_backends("mask_gen")
    assert "third" not in known_backends("image_gen")
    assert create_backend("mask_gen", _mask_settings("third")).name == "tiny"
    assert not is_embedded("mask_gen", "third")
    needy = [status for status in describe_backends() if status.name == "needy"]
    assert [(status.usable, "weights.bin" in status.missing) for status in needy] == [(False, True)]
