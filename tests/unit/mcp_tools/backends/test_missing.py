"""Whatever a backend lacks is said in one line, with what to do."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.photos import make_photo

from anomalyagent.configs.schema import Settings, ToolSettings, ToolsSettings
from anomalyagent.errors import AnomalyAgentError, BackendUnavailableError, ConfigError
from anomalyagent.mcp_tools.backends.diffusers import DiffusersImageGen
from anomalyagent.mcp_tools.backends.sam import SamMask
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.registry import create_backend

PHOTO = photo_from_array(make_photo("part", 1, 64))
CHANGED = photo_from_array(make_photo("part", 2, 64))
no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


def image_gen(**options: Any) -> DiffusersImageGen:
    backend = create_backend(
        "image_gen", Settings(tools=ToolsSettings(image_gen=ToolSettings(backend="diffusers", options=options)))
    )
    assert isinstance(backend, DiffusersImageGen)
    return backend


def mask_gen(**options: Any) -> SamMask:
    backend = create_backend("mask_gen", Settings(tools=ToolsSettings(mask_gen=ToolSettings(backend="sam", options=options))))
    assert isinstance(backend, SamMask)
    return backend


def draw(**options: Any) -> None:
    image_gen(**options).edit(PHOTO, "Add a scratch", None, 1)


@pytest.mark.parametrize(
    ("tool", "backend", "absent"),
    [
        ("image_gen", "diffusers", "diffusers"),
        ("image_gen", "diffusers", "torch"),
        ("mask_gen", "sam", "segment_anything"),
        ("mask_gen", "sam2", "transformers"),
    ],
)
def test_a_missing_extra_is_named_with_the_command_that_installs_it(tool: str, backend: str, absent: str) -> None:
    script = f"""
import sys
sys.modules[{absent!r}] = None
from anomalyagent.configs.schema import Settings
from anomalyagent.errors import BackendUnavailableError
from anomalyagent.mcp_tools.registry import create_backend, describe_backends
try:
    create_backend({tool!r}, Settings.model_validate({{"tools": {{{tool!r}: {{"backend": {backend!r}}}}}}}))
except BackendUnavailableError as error:
    print(error)
assert [status.usable for status in describe_backends() if status.name == {backend!r}] == [False]
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    said = done.stdout.strip()
    assert len(said.splitlines()) == 1
    assert f"not installed: {absent}. Run: pip install 'anomalyagent[{backend}]'" in said


def test_listing_the_backends_loads_no_heavy_library() -> None:
    script = """
import sys
from anomalyagent.mcp_tools.registry import describe_backends
describe_backends()
import anomalyagent.mcp_tools.backends.diffusers, anomalyagent.mcp_tools.backends.sam, anomalyagent.mcp_tools.backends.sam2
print(sorted({"torch", "diffusers", "transformers", "segment_anything", "accelerate"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=240)
    assert done.stdout.strip() == "[]"


def test_no_model_is_a_config_error_that_lists_the_options() -> None:
    with pytest.raises(ConfigError, match=r"option 'model' is not set \(folder of a diffusers pipeline.*Known options: model"):
        image_gen()
    with pytest.raises(ConfigError, match="option 'checkpoint' is not set"):
        mask_gen()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"stepps": 3}, "unknown option 'stepps'.*Known options: .*steps"),
        ({"steps": 0}, "option 'steps'"),
        ({"device": "tpu"}, "option 'device'.*'cpu' or 'cuda'"),
        ({"prompt_template": "{words}"}, "only {prompt} and {mechanism}"),
        ({"arguments": {"image": "x"}}, "image cannot be given here"),
        ({"lora": [{"model": "x", "weight": 2}]}, r"unknown option 'lora.0.weight'"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], said: str, models: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        image_gen(model=str(models / "inpaint"), **options)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("./nowhere", "there is no model folder './nowhere'"),
        ("/no/such/folder", "there is no model folder"),
        ("plainname", "Hugging Face id"),
        (
            "nobody-at-all/no-such-model",
            "not in the local Hugging Face cache.*hf download nobody-at-all/no-such-model.*local_files_only",
        ),
    ],
)
def test_a_model_that_is_not_here_is_said_before_anything_is_loaded(model: str, said: str) -> None:
    with pytest.raises(BackendUnavailableError, match=said):
        image_gen(model=model)


def test_a_folder_without_a_pipeline_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailableError, match=r"no model_index.json"):
        image_gen(model=str(tmp_path))


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ({"_class_name": "DDPMPipeline"}, "cannot be loaded"),
        ({"_class_name": "PipelineOfTheFuture"}, "is a PipelineOfTheFuture.*pip install -U diffusers"),
        ({"_class_name": "StableDiffusionInpaintPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}, "cannot be loaded"),
    ],
)
def test_a_pipeline_that_cannot_edit_or_is_incomplete_is_refused(index: dict[str, Any], said: str, tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps(index | {"_diffusers_version": "0.42.1"}), "utf-8")
    with pytest.raises(BackendUnavailableError, match=said):
        draw(model=str(tmp_path))


def test_a_damaged_index_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{", "utf-8")
    with pytest.raises(BackendUnavailableError, match=r"model_index.json"):
        draw(model=str(tmp_path))


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("pix2pix", {"strength": 0.5}, "InstructPix2PixPipeline takes no strength. It takes: .*image_guidance_scale"),
        ("inpaint", {"arguments": {"true_cfg_scale": 4.0}}, "takes no true_cfg_scale"),
        ("inpaint", {"family": "edit"}, "follows no editing instructions"),
        ("inpaint", {"lora": ["./no_lora"]}, "LoRA './no_lora' cannot be laid over"),
    ],
)
def test_an_option_that_does_not_fit_the_pipeline_is_named(kind: str, options: dict[str, Any], said: str, models: Path) -> None:
    with pytest.raises(AnomalyAgentError, match=said):
        draw(model=str(models / kind), **options)


@no_gpu
def test_a_gpu_that_is_not_there_is_said_at_once(models: Path) -> None:
    with pytest.raises(BackendUnavailableError, match=r"no usable GPU here. Set its option device to auto or cpu"):
        image_gen(model=str(models / "inpaint"), device="cuda")
    with pytest.raises(BackendUnavailableError, match="no usable GPU"):
        mask_gen(checkpoint=str(models / "sam.pth"), device="cuda")
    with pytest.raises(ConfigError, match="offload 'model' needs a GPU"):
        draw(model=str(models / "inpaint"), offload="model")


def test_a_checkpoint_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailableError, match=r"no checkpoint '.*none.pth'. Download one, for example https"):
        mask_gen(checkpoint=str(tmp_path / "none.pth"))


@pytest.mark.parametrize("content", ["text", "tensors", "pickle"])
def test_a_file_that_is_no_checkpoint_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    if content == "text":
        path.write_text("not a checkpoint", "utf-8")
    else:
        torch.save({"weight": torch.zeros(3)} if content == "tensors" else Path("x"), path)
    with pytest.raises(BackendUnavailableError, match="is no checkpoint of the segment-anything package"):
        mask_gen(checkpoint=str(path)).segment(PHOTO, CHANGED)


def test_a_checkpoint_of_another_type_or_with_missing_tensors_is_refused(models: Path, tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailableError, match=r"is a model of width 32, not vit_h. Set option model_type to auto"):
        mask_gen(checkpoint=str(models / "sam.pth"), model_type="vit_h").segment(PHOTO, CHANGED)
    state = torch.load(models / "sam.pth", weights_only=True)
    del state["mask_decoder.iou_token.weight"]
    torch.save(state, tmp_path / "part.pth")
    with pytest.raises(BackendUnavailableError, match="does not fit the segment-anything package"):
        mask_gen(checkpoint=str(tmp_path / "part.pth")).segment(PHOTO, CHANGED)


def test_a_download_that_failed_is_not_told_as_a_file_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline
    from huggingface_hub.errors import LocalEntryNotFoundError

    def load_config(*_: object, **__: object) -> None:
        try:
            raise LocalEntryNotFoundError("Please check your connection and try again.")
        except LocalEntryNotFoundError as error:  # as diffusers words it
            raise OSError("owner/name does not appear to have a file named model_index.json.") from error

    monkeypatch.setattr(DiffusionPipeline, "load_config", load_config)
    with pytest.raises(BackendUnavailableError, match="'owner/name' cannot be read: Please check your connection"):
        draw(model="owner/name", local_files_only=False)
