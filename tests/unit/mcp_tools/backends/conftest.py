"""Tiny random models, made once for all tests of this folder."""

from pathlib import Path

import pytest
import torch
from helpers.tiny_models import save_pipeline, save_sam, save_sam2, save_sam3

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pipelines inpaint/, pix2pix/, text2image/, the SAM checkpoint sam.pth, sam2/ and sam3/."""
    folder = tmp_path_factory.mktemp("models")
    for kind in ("inpaint", "pix2pix", "text2image"):
        save_pipeline(folder / kind, kind)
    save_sam(folder / "sam.pth")
    save_sam2(folder / "sam2")
    save_sam3(folder / "sam3")
    return folder
