"""Layered settings: precedence, refusals with the nearest name, and where a value came from."""

from pathlib import Path

import pytest

from anomalyagent.configs.loading import dump_settings, load_layers, load_settings, shipped_configs
from anomalyagent.configs.schema import Settings
from anomalyagent.errors import ConfigError


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "my.yaml"
    file.write_text(text, "utf-8")
    return file


def test_defaults_are_the_embedded_configuration() -> None:
    assert load_settings(env={}) == Settings()
    assert load_settings(Path("default"), env={}) == Settings()


def test_later_layers_win(tmp_path: Path) -> None:
    file = write(tmp_path, "limits: {rounds: 4, turns: 30}\nseed: 1\n")
    env = {"ANOMALYAGENT_LIMITS__ROUNDS": "5", "ANOMALYAGENT_SEED": "2", "HOME": "/"}
    loaded = load_layers(file, ["seed=3"], env)
    assert (loaded.settings.limits.rounds, loaded.settings.limits.turns, loaded.settings.seed) == (5, 30, 3)
    assert loaded.origin["limits.rounds"] == "environment ANOMALYAGENT_LIMITS__ROUNDS"
    assert loaded.origin["limits.turns"] == str(file)
    assert loaded.origin["seed"] == "--set seed"


@pytest.mark.parametrize(
    ("file", "sets", "env"),
    [
        ("limits: {roundz: 4}", [], {}),
        ("", ["limits.roundz=4"], {}),
        ("", [], {"ANOMALYAGENT_LIMITS__ROUNDZ": "4"}),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_name(
    tmp_path: Path, file: str, sets: list[str], env: dict[str, str]
) -> None:
    with pytest.raises(ConfigError, match=r"unknown setting 'limits.roundz'.*Did you mean 'limits.rounds'"):
        load_settings(write(tmp_path, file), sets, env)


def test_a_value_outside_its_range_names_key_layer_and_value() -> None:
    with pytest.raises(ConfigError, match=r"'limits.rounds' \(--set limits.rounds\).*got 0"):
        load_settings(None, ["limits.rounds=0"], {})


def test_a_section_given_as_a_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="limits"):
        load_settings(write(tmp_path, "limits: 3"), env={})


def test_backend_options_are_free_and_server_commands_are_lists() -> None:
    settings = load_settings(None, ["tools.image_gen.options.blur=2", "tools.mask_gen.server=[python, s.py]"], {})
    assert settings.tools.image_gen.options == {"blur": 2}
    assert settings.tools.mask_gen.server == ["python", "s.py"]


@pytest.mark.parametrize("text", ["- a\n- b\n", "limits: [", "\x00"])
def test_a_file_that_is_not_a_tree_of_keys_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"my\.yaml"):
        load_settings(write(tmp_path, text), env={})


def test_a_missing_file_names_the_shipped_ones() -> None:
    with pytest.raises(ConfigError, match="shipped: api, default, gpu, paper"):
        load_settings(Path("nowhere"), env={})


def test_set_without_equals_is_refused() -> None:
    with pytest.raises(ConfigError, match="key=value"):
        load_settings(None, ["seed"], {})


def test_dumped_settings_load_back_to_the_same(tmp_path: Path) -> None:
    import yaml

    settings = load_settings(None, ["seed=7", "knowledge.folders=[a, b]"], {})
    assert load_settings(write(tmp_path, yaml.safe_dump(dump_settings(settings))), env={}) == settings


def test_every_shipped_config_is_valid() -> None:
    for name in shipped_configs():
        load_settings(Path(name), env={})
