"""Random weights of the networks that metrics are defined by, made on the spot in the files that the published ones have."""

from importlib import import_module
from pathlib import Path
from typing import Any

import torch

__all__ = ["save_inception", "save_resnet34", "save_vgg16"]

_VGG = {  # layer of `features` -> channels out and in
    **{0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128), 10: (256, 128), 12: (256, 256), 14: (256, 256)},
    **{17: (512, 256), 19: (512, 512), 21: (512, 512), 24: (512, 512), 26: (512, 512), 28: (512, 512)},
}


def save_vgg16(path: Path) -> Path:
    """The `features` of torchvision's vgg16, spread so that no layer dies out."""
    torch.manual_seed(3)
    state: dict[str, torch.Tensor] = {}
    for number, (outputs, inputs) in _VGG.items():
        state[f"features.{number}.weight"] = torch.randn(outputs, inputs, 3, 3) * (2 / (9 * inputs)) ** 0.5
        state[f"features.{number}.bias"] = torch.randn(outputs) * 0.05
    torch.save(state, path)
    return path


def save_inception(path: Path) -> Path:
    """torch-fidelity's Inception v3, its last layer loud enough that images differ in their classes."""
    module: Any = import_module("torch_fidelity.feature_extractor_inceptionv3")

    class Untrained(module.FeatureExtractorInceptionV3):
        def load_state_dict(self, *_: Any, **__: Any) -> None: ...

    torch.manual_seed(4)
    torch.save({}, path)
    network: Any = Untrained("untrained", ["logits_unbiased"], feature_extractor_weights_path=str(path))
    for name, value in network.named_parameters():
        if value.ndim == 4:
            torch.nn.init.kaiming_normal_(value)
        elif name == "fc.weight":
            torch.nn.init.normal_(value, std=2.0)
    torch.save(network.state_dict(), path)
    return path


def save_resnet34(path: Path) -> Path:
    """torchvision's resnet34."""
    models: Any = import_module("torchvision.models")
    torch.manual_seed(5)
    torch.save(models.resnet34().state_dict(), path)
    return path
