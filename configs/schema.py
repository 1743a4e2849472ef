"""Every setting of the project, with its default, range and meaning.

Layers, later wins: the defaults below (the EMBEDDED configuration) < a YAML file < environment variables
(`ANOMALYAGENT_LIMITS__ROUNDS=5`) < the command line (`--set limits.rounds=5`). See `loading.py`.
"""

from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from anomalyagent.configs.paths import HomePath

__all__ = [
    "SEEDS",
    "DatasetSettings",
    "KnowledgeSettings",
    "LimitSettings",
    "ModelPrice",
    "PolicySettings",
    "QualityEvalSettings",
    "ReferenceSettings",
    "ServerSettings",
    "Settings",
    "ToolSettings",
    "ToolsSettings",
    "WebSearchSettings",
]


SEEDS = 2**63
"""How many seeds there are: 0 .. SEEDS - 1, what a signed 64-bit integer holds."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class LimitSettings(_Section):
    """Bounds of one trajectory and of one image."""

    rounds: Annotated[int, Field(ge=1, le=20)] = Field(
        default=3, description="Most generation rounds (image_gen calls) in a trajectory."
    )
    turns: Annotated[int, Field(ge=4, le=200)] = Field(
        default=24, description="Most turns of a trajectory, illegal ones included."
    )
    tool_timeout_s: Annotated[float, Field(gt=0)] = Field(default=120.0, description="One tool call.")
    trajectory_timeout_s: Annotated[float, Field(gt=0)] = Field(default=900.0, description="One trajectory.")
    trajectory_cost_usd: Annotated[float, Field(ge=0)] = Field(default=1.0, description="Most money for one trajectory.")
    trajectory_tokens: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Most tokens of hosted models for one trajectory; unset: any number."
    )
    run_cost_usd: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="Most money for a whole run, all its sessions together; unset: any amount."
    )
    attempts_per_sample: Annotated[int, Field(ge=1)] = Field(
        default=10,
        description="A type is given up when this many times `count` trajectories did not bring `count` accepted samples.",
    )
    max_image_pixels: Annotated[int, Field(ge=1)] = Field(
        default=4096 * 4096, description="Larger images are refused before decoding."
    )
    max_image_bytes: Annotated[int, Field(ge=1)] = Field(default=256 * 2**20, description="Larger image files are refused.")
    min_image_side_px: Annotated[int, Field(ge=1)] = Field(default=32, description="Smaller images are refused.")


class PolicySettings(_Section):
    """Who decides the next turn."""

    name: str = Field(default="expert", description="expert | local | chat | scripted | module:Class")
    options: dict[str, Any] = Field(default_factory=dict, description="Options of that policy.")


class ToolSettings(_Section):
    """One of the five tools: a backend in this process, or another MCP server."""

    backend: str
    options: dict[str, Any] = Field(default_factory=dict, description="Options of that backend.")
    server: str | list[str] | None = Field(
        default=None,
        description="Use another MCP server for this tool: an http(s) URL, or a command as a list [program, arg, ...].",
    )


class QualityEvalSettings(ToolSettings):
    """quality_eval has a pass mark."""

    backend: str = "features"
    threshold: Annotated[float, Field(ge=0, le=10)] = Field(default=5.0, description="Passed means score > threshold (0..10).")


class ToolsSettings(_Section):
    """The five tools."""

    prompt_gen: ToolSettings = ToolSettings(backend="template")
    image_gen: ToolSettings = ToolSettings(backend="procedural")
    quality_eval: QualityEvalSettings = QualityEvalSettings()
    knowledge_retrieval: ToolSettings = ToolSettings(backend="chroma")
    mask_gen: ToolSettings = ToolSettings(backend="change")


class WebSearchSettings(_Section):
    """A web-search tool of another MCP server. It leaves the machine: item, anomaly type and question, never a photo."""

    server: str | list[str] = Field(description="An http(s) URL, or a command as a list [program, arg, ...].")
    tool: str = Field(description="Name of its tool.")
    query_argument: str = Field(default="query", description="Argument of that tool that takes the question.")
    arguments: dict[str, Any] = Field(default_factory=dict[str, Any], description="More arguments of that tool.")
    results: Annotated[int, Field(ge=1, le=20)] = Field(default=3, description="Most results that the agent reads.")
    timeout_s: Annotated[float, Field(gt=0)] = Field(default=20.0, description="One attempt, its server's start included.")
    token_file: HomePath | None = Field(default=None, description="File with the bearer token of a URL.")

    @field_validator("server")
    @classmethod
    def _place(cls, value: str | list[str]) -> str | list[str]:
        if not value or (isinstance(value, str) and not value.startswith(("http://", "https://"))):
            raise ValueError("give an http(s) URL, or a command as a list [program, arg, ...]")
        return value


class ReferenceSettings(_Section):
    """Real defects with masks; knowledge_retrieval shows those that look most like the one that was made."""

    folders: Annotated[list[HomePath], Field(min_length=1)] = Field(
        description="Folders in MVTec layout, or of x.png with x_mask.png, below them one folder for each anomaly type."
    )
    results: Annotated[int, Field(ge=1, le=10)] = Field(default=3, description="Most that the agent is shown.")
    model: str | None = Field(
        default=None,
        description="Vision model of transformers that compares them (folder or Hugging Face id); unset: built in.",
    )
    local_files_only: bool = Field(default=True, description="False: a model that is not in the local cache is downloaded.")
    url: str | None = Field(default=None, description="http(s) URL of a Chroma server for the vectors; unset: in memory.")


class KnowledgeSettings(_Section):
    """Where knowledge cards come from and where their index lives."""

    folders: list[HomePath] = Field(
        default_factory=list[HomePath], description="Folders with cards of your own (YAML), added to the shipped ones."
    )
    cache_dir: HomePath | None = Field(default=None, description="Folder for the built index; unset: the user's cache folder.")
    top_k: Annotated[int, Field(ge=1, le=50)] = Field(default=5, description="Cards returned by knowledge_retrieval.")
    web_search: WebSearchSettings | None = Field(
        default=None, description="knowledge_retrieval also asks a web-search tool of another MCP server; unset: it does not."
    )
    references: ReferenceSettings | None = Field(
        default=None,
        description="knowledge_retrieval also shows real defects that look like the one that was made; unset: none.",
    )


_OLD_DAYS = 180
"""After which a price should be looked up again."""


class ModelPrice(_Section):
    """What a hosted model costs, in US dollars: tokens by the million, pictures and requests each. `{}` costs nothing."""

    input: Annotated[float, Field(ge=0)] = Field(default=0.0, description="Million input tokens.")
    cached_input: Annotated[float, Field(ge=0)] | None = Field(default=None, description="Of them, cached; unset: as input.")
    image_input: Annotated[float, Field(ge=0)] | None = Field(default=None, description="Of them, images; unset: as input.")
    output: Annotated[float, Field(ge=0)] = Field(default=0.0, description="Million output tokens, thoughts included.")
    image_output: Annotated[float, Field(ge=0)] | None = Field(default=None, description="Of them, images; unset: as output.")
    per_image: Annotated[float, Field(ge=0)] = Field(default=0.0, description="Each picture made.")
    per_request: Annotated[float, Field(ge=0)] = Field(default=0.0, description="Each request answered.")
    as_of: Annotated[str, Field(pattern=r"^(\d{4}-\d{2}(-\d{2})?)?$")] = Field(
        default="", description="Day or month in which it was looked up, 2026-10."
    )
    until: date | None = Field(default=None, description="Last day of it, where the provider has announced another.")

    @field_validator("as_of", mode="before")
    @classmethod
    def _day(cls, value: object) -> object:
        return value.isoformat() if isinstance(value, date) else value  # YAML reads a whole day as one

    def doubt(self, today: date) -> str:
        """Why it may no longer be right; empty when nothing speaks against it."""
        if self.until is not None and today > self.until:
            return f"ended on {self.until}"
        if self.as_of and (days := (today - date.fromisoformat(f"{self.as_of}-01"[:10])).days) > _OLD_DAYS:
            return f"is of {self.as_of}, {days} days ago"
        return ""


class DatasetSettings(_Section):
    """How the data set of a run is written."""

    link_images: bool = Field(
        default=True, description="Hard-link images/ into the data set where the file system allows it, else copy."
    )


class ServerSettings(_Section):
    """Bounds of an MCP server towards its clients (`anomalyagent mcp serve`)."""

    waiting_calls: Annotated[int, Field(ge=1)] = Field(
        default=64, description="Tool calls that may wait while others run; more are told to come back later."
    )
    concurrent_requests: Annotated[int, Field(ge=1)] = Field(
        default=64, description="HTTP requests that are answered at the same time; more get 503."
    )
    requests_per_minute: Annotated[int, Field(ge=1)] = Field(
        default=6000, description="HTTP requests of one address; more get 429."
    )
    body_timeout_s: Annotated[float, Field(gt=0)] = Field(
        default=20.0, description="An HTTP request that has not arrived whole by then is dropped."
    )


class Settings(_Section):
    """All settings of a run."""

    seed: Annotated[int, Field(ge=0, lt=SEEDS)] = Field(
        default=0, description="Same seed, same settings, same inputs: same bytes."
    )
    limits: LimitSettings = LimitSettings()
    policy: PolicySettings = PolicySettings()
    tools: ToolsSettings = ToolsSettings()
    knowledge: KnowledgeSettings = KnowledgeSettings()
    dataset: DatasetSettings = DatasetSettings()
    prices: dict[str, ModelPrice] = Field(
        default_factory=dict[str, ModelPrice],
        description="Model name (or pattern, gemini-3*) -> its price; a hosted model without one is refused.",
    )
    server: ServerSettings = ServerSettings()
