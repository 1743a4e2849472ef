"""Models by folder or Hugging Face id: whether they are on this machine, said before anything large is loaded."""

from anomalyagent.configs.paths import expand_home
from anomalyagent.errors import BackendUnavailableError

__all__ = ["find_pretrained", "reason_of"]


def find_pretrained(
    backend: str, model: str, index: str, kind: str, *, revision: str | None = None, local_files_only: bool
) -> str:
    """What `from_pretrained` is to be given.

    Args:
        backend: its name for messages.
        index: the file that every such model has, `model_index.json` or `config.json`.
        kind: what it is, such as "diffusers pipeline".
    Raises:
        BackendUnavailableError: there is no such folder, it holds no such model, or the id is not in the local cache and
            nothing may be downloaded.
    """
    folder = expand_home(model)
    if folder.is_dir():
        if not (folder / index).is_file():
            raise BackendUnavailableError(
                f"{backend}: folder '{model}' holds no {index}, so it is no {kind}. "
                "Give the folder that save_pretrained wrote, or a Hugging Face id."
            )
        return str(folder)
    if folder.is_absolute() or model.startswith((".", "~")) or model.count("/") != 1:
        raise BackendUnavailableError(
            f"{backend}: there is no model folder '{model}'. Set option model to a folder that save_pretrained wrote, "
            "or to a Hugging Face id (owner/name)."
        )
    if local_files_only:
        from huggingface_hub import try_to_load_from_cache

        if not isinstance(try_to_load_from_cache(model, index, revision=revision), str):
            raise BackendUnavailableError(
                f"{backend}: model '{model}' is not in the local Hugging Face cache. Download it once with: "
                f"hf download {model}  (or set option local_files_only to false)."
            )
    return model


def reason_of(error: BaseException) -> str:
    """The first line of an error of another library, cut to what can be read.

    Where a download failed, the Hub's own words: libraries say of it that there is no such file.
    """
    cause: BaseException | None = error
    while cause is not None and type(cause).__name__ != "LocalEntryNotFoundError":
        cause = cause.__cause__ or cause.__context__
    lines = str(cause or error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
