"""Published weights: found, checked by hash, never mixed up with others."""

from pathlib import Path

import pytest
import torch

from anomalyagent.errors import BackendUnavailableError, ConfigError
from anomalyagent.training.evaluation.weights import INCEPTION, RESNET34, VGG16, Published, find_weights


def test_a_file_with_the_published_hash_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"hello")
    known = Published("Hello", "--hello", "https://example.org/hello-2cf24dba.pth", "2cf24dba")
    found = find_weights(known, str(path))
    assert found.published
    assert found.path == path
    assert "2cf24dba" in found.note


def test_another_file_is_refused_and_taken_only_when_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"hello")
    with pytest.raises(BackendUnavailableError, match=r"SHA-256 begins with 2cf24dba, not b627a593.*--other-weights"):
        find_weights(RESNET34, str(path))
    found = find_weights(RESNET34, str(path), allow_other=True)
    assert not found.published
    assert "not comparable" in found.note


def test_a_missing_file_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailableError, match=r"--vgg FILE with https://.*vgg16-397923af\.pth, or --vgg download"):
        find_weights(VGG16, str(tmp_path / "gone.pth"))


def test_random_weights_make_sense_for_training_only() -> None:
    assert find_weights(RESNET34, "none", allow_none=True).path is None
    with pytest.raises(ConfigError, match="nothing without its weights"):
        find_weights(INCEPTION, "none")


def test_a_download_that_fails_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    nowhere = Published("Nowhere", "--nowhere", (tmp_path / "gone-12345678.pth").as_uri(), "12345678")
    with pytest.raises(BackendUnavailableError, match=r"cannot be downloaded.*Fetch it elsewhere and give --nowhere FILE"):
        find_weights(nowhere, "download")


def test_a_download_is_kept_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    (tmp_path / "hello-2cf24dba.pth").write_bytes(b"hello")
    known = Published("Hello", "--hello", (tmp_path / "hello-2cf24dba.pth").as_uri(), "2cf24dba")
    assert find_weights(known, "download").published
    (tmp_path / "hello-2cf24dba.pth").unlink()
    assert find_weights(known, "download").path == tmp_path / "hub/checkpoints/hello-2cf24dba.pth"


def test_the_hashes_are_those_in_the_published_names() -> None:
    for known in (RESNET34, VGG16, INCEPTION):
        assert known.sha256 in known.file
