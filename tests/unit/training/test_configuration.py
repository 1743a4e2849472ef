"""Training configurations: files and single values that cannot be used end in one line."""

from pathlib import Path

import pytest

from anomalyagent.errors import ConfigError
from anomalyagent.training.settings import load_train_settings
from anomalyagent.training.vision.settings import load_vision_settings


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("seed.x=1", "^--set seed.x: 'seed' is 0 and has no keys below it"),
        ("seed", "^--set needs key=value, got 'seed'. Example: --set "),
        ("seed=[", r"^--set seed: '\[' is not a valid YAML value"),
        ("sed=1", r"unknown setting 'sed'\.$"),
        ("seed=-1", "seed: Input should be greater than or equal to 0; got -1"),
    ],
)
def test_a_value_that_cannot_be_set_is_told_in_every_kind_of_training(pair: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_train_settings("tiny", ("seed=0", pair))
    with pytest.raises(ConfigError, match=message):
        load_vision_settings("qwen3vl_grpo", ("seed=0", pair))


def test_keys_of_tools_and_limits_keep_their_dots() -> None:
    pair = "settings.limits.rounds=2"
    assert load_train_settings("tiny", (pair,)).settings["limits.rounds"] == 2
    assert load_vision_settings("qwen3vl_grpo", (pair,)).settings == {"limits.rounds": 2}


def test_a_file_that_is_no_configuration_is_told(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("[1, 2]")
    with pytest.raises(ConfigError, match="must hold keys and values"):
        load_vision_settings(tmp_path / "list.yaml")
    with pytest.raises(ConfigError, match=r"cannot be read: No such file or directory\. Give a file, or a shipped one: .*tiny"):
        load_train_settings(tmp_path / "none.yaml")


@pytest.mark.parametrize("sizes", ["[]", "[8]"])
def test_photo_sizes_that_no_photo_can_have_are_told_before_a_training_begins(sizes: str) -> None:
    with pytest.raises(ConfigError, match=r"practice\.sizes_px"):
        load_train_settings("tiny", (f"practice.sizes_px={sizes}",))
