"""README.md of an export, a Hugging Face data card: how many rows of what, where they come from, what was left out."""

from collections import Counter
from collections.abc import Mapping, Sequence

from anomalyagent.graph.trace import SCHEMA_VERSION
from anomalyagent.graph.wire import tools_digest
from anomalyagent.training.rows.select import KINDS, Picked

__all__ = ["HEADING", "write_card"]

HEADING = "# anomalyagent trajectories ("
"""How a card is told from any other README.md."""


def write_card(
    picked: Picked, form: str, rows: Mapping[str, int], redacted: int, sources: Sequence[str], tables_sha256: str = ""
) -> str:
    """The card.

    Args:
        rows: split -> number of rows; files for formats that are not tables.
        redacted: local paths that were taken out.
        sources: names of the runs.
        tables_sha256: digest of the tables; `load_dataset` takes what it read from this folder earlier while its settings in
            the card are the same, whatever the tables hold by now.
    """
    table = form in ("sft", "grpo", "preference")
    lines = ["---", "tags: [anomaly-detection, agent-trajectories, tool-use]"]
    if table:
        lines += ["configs:", f"- config_name: {form}", f"  description: rows {tables_sha256}", "  data_files:"]
        lines += [f"  - {{split: {split}, path: {split}.parquet}}" for split in rows]
    lines += ["---", "", f"{HEADING}{form})", ""]
    lines += [
        "Conversations of an agent that makes images of industrial defects by calling five tools, one trajectory a row.",
        "",
        "| | |",
        "|---|---|",
        f"| trace version | {SCHEMA_VERSION} |",
        f"| tool schema digest | `{tools_digest()}` |",
        f"| runs | {', '.join(f'`{name}`' for name in sources)} |",
        f"| local paths taken out | {redacted} |",
        "",
        f"## {'Rows' if table else 'Trajectories'}",
        "",
        f"| split | {'rows' if table else 'files'} | trajectories | {' | '.join(KINDS)} | mean score | mean reward |",
        f"|---|---|---|{'---|' * len(KINDS)}---|---|",
    ]
    for split, count in rows.items():
        ones = [one for one in picked.chosen if one.split == split]
        kinds = Counter(one.kind for one in ones)
        scores = [one.trajectory.score for one in ones if one.trajectory.score is not None]
        lines.append(
            f"| {split} | {count} | {len(ones)} | {' | '.join(str(kinds[kind]) for kind in KINDS)} | "
            f"{_mean(scores)} | {_mean([one.reward for one in ones])} |"
        )
    lines += ["", "## Items", "", "| item | anomaly type | split | policy | accepted | others |", "|---|---|---|---|---|---|"]
    groups: dict[tuple[str, str, str, str], list[str]] = {}
    for one in picked.chosen:
        task = one.trajectory.task
        key = (task.item_name, task.anomaly_type, one.split, one.trajectory.policy)
        groups.setdefault(key, []).append(one.trajectory.outcome)
    for (item, anomaly_type, split, policy), outcomes in sorted(groups.items()):
        good = outcomes.count("accepted")
        lines.append(f"| {item} | {anomaly_type} | {split} | {policy} | {good} | {len(outcomes) - good} |")
    lines += ["", "No item of the test split, and no photo of it, is in the train split.", ""]
    if picked.left_out:
        lines += [
            "Left out: " + ", ".join(f"{reason} ({count})" for reason, count in sorted(picked.left_out.items())) + ".",
            "",
        ]
    lines += [
        "Scores are those of the judge that the agent heard; rewards are the three-part reward with default weights by those",
        "scores. The licence of the images is that of the photos that they were made on: name it before you share them.",
        "",
    ]
    return "\n".join(lines)


def _mean(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):.2f}" if values else "-"
