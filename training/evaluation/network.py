"""The localisation network: DRAEM's discriminative sub-network (Zavrtanik 2021), a UNet without skip tricks, and its loss.

`base=64, depth=5` is the paper's size; smaller ones serve on a CPU.
"""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Segmenter", "focal_loss"]

_PRIOR = 0.01


def _step(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(*_step(inputs, outputs), *_step(outputs, outputs))


class Segmenter(nn.Module):
    """(N, 3, S, S) float32 images in 0..1 -> (N, 2, S, S) logits of good and anomalous.

    Args:
        base: channels at full size; they double at each level, up to 8 * base.
        depth: how often the size is halved. S must be divisible by 2**depth.
    """

    def __init__(self, base: int = 64, depth: int = 5) -> None:
        super().__init__()
        widths = [min(base * 2**level, base * 8) for level in range(depth + 1)]
        skips = widths[-2::-1]
        outputs = [*skips[1:], base]
        self.encoders = nn.ModuleList([_block(i, o) for i, o in zip([3, *widths[:-1]], widths, strict=True)])
        self.ups = nn.ModuleList(
            [nn.Sequential(*_step(i, o)) for i, o in zip([widths[-1], *outputs[:-1]], outputs, strict=True)]
        )
        self.decoders = nn.ModuleList([_block(o + skip, o) for o, skip in zip(outputs, skips, strict=True)])
        self.head = nn.Conv2d(base, 2, 3, padding=1)
        # Start from "anomalies are rare" (Lin 2017, section 4.1), which DRAEM does not. Otherwise narrow networks often
        # settle on writing an anomaly as the absence of all features, and its probability then stays near one half.
        with torch.no_grad():
            cast(Tensor, self.head.bias).copy_(torch.tensor([0.0, math.log(_PRIOR / (1 - _PRIOR))]))

    def forward(self, images: Tensor) -> Tensor:
        kept: list[Tensor] = []
        x = images
        for level, encoder in enumerate(self.encoders):
            x = encoder(x if level == 0 else functional.max_pool2d(x, 2))
            kept.append(x)
        for up, decoder, skip in zip(self.ups, self.decoders, kept[-2::-1], strict=True):
            x = up(functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True))
            x = decoder(torch.cat([x, skip], dim=1))
        return self.head(x)


def focal_loss(logits: Tensor, targets: Tensor, gamma: float = 2.0) -> Tensor:
    """Focal loss (Lin 2017), mean over pixels: -(1 - p)^gamma log p of the true class.

    Args:
        logits: (N, 2, S, S) float.
        targets: (N, S, S) int64 of 0 (good) and 1 (anomalous).
    """
    log_p = functional.log_softmax(logits, dim=1).gather(1, targets[:, None])[:, 0]
    return -((1 - log_p.exp()) ** gamma * log_p).mean()
