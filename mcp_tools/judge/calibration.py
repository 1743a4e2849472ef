"""Check or refit the judge: `python -m anomalyagent.mcp_tools.judge.calibration --normals [ITEM=]DIR --real [ITEM=]DIR`.

Cases are the ladder of known faults on generated photos and on your normal photos, and real defects beside their clean
twins. Prints the area under the ROC curve of every fault: of the shipped fit, or, with `--out FILE`, of fits that have not
seen the set (one held out at a time), and writes the fit on all of them.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from anomalyagent.errors import AnomalyAgentError, BackendUnavailableError, ToolInputError
from anomalyagent.knowledge.cards import Card, load_cards
from anomalyagent.mcp_tools.imaging.photo import Photo
from anomalyagent.mcp_tools.judge.cases import Case, generated_cases, ladder_cases, read_normals, real_cases
from anomalyagent.mcp_tools.judge.fitting import Record, Report, fit_calibration, verify
from anomalyagent.mcp_tools.judge.measuring import measure
from anomalyagent.mcp_tools.judge.pair import Pair
from anomalyagent.mcp_tools.judge.scoring import Calibration, read_calibration
from anomalyagent.mcp_tools.modules import missing_modules

__all__ = ["calibrate", "check", "main", "measure_cases", "write_calibration"]


def measure_cases(cases: Iterator[Case]) -> list[Record]:
    """Measure each case; those without any visible change are left out, their scores are 0 by definition."""
    records: list[Record] = []
    for case in cases:
        pair = Pair.compare(case.normal, case.anomaly)
        if pair is None:
            continue
        measured = measure(pair, case.expected, {})
        mechanism = case.drawn or measured.placing.variant.mechanism
        records.append(Record(case.group, case.label, case.strength, mechanism, measured))
    return records


def calibrate(records: Sequence[Record]) -> tuple[Calibration, dict[str, Report]]:
    """The fit on all records, and for each group the report of a fit that has not seen it."""
    groups = sorted({record.group for record in records})
    reports: dict[str, Report] = {}
    for group in groups if len(groups) > 1 else []:
        seen = fit_calibration([record for record in records if record.group != group])
        reports[group] = verify([record for record in records if record.group == group], seen)
    return fit_calibration(records), reports


def check(records: Sequence[Record], fit: Calibration) -> dict[str, Report]:
    """For each group the report of this fit."""
    groups = sorted({record.group for record in records})
    return {group: verify([record for record in records if record.group == group], fit) for group in groups}


def write_calibration(path: Path, calibration: Calibration, reports: dict[str, Report]) -> None:
    """Write the readable JSON that `scoring.read_calibration` reads."""
    stored = {
        "base": {"location": calibration.base_location, "quality": calibration.base_quality},
        "faults": {name: scale._asdict() for name, scale in calibration.faults.items()},
        "looks": {name: {"mean": look.mean, "spread": look.spread} for name, look in calibration.looks.items()},
        "report": {group: report._asdict() for group, report in reports.items()},
    }
    path.write_text(_compact(json.dumps(stored, indent=1)) + "\n", encoding="utf-8")


def _compact(text: str) -> str:
    """Innermost lists and objects on one line each."""
    lines: list[str] = []
    buffer: list[str] = []
    for line in text.splitlines():
        opens, closes = line.rstrip().endswith(("{", "[")), line.strip().rstrip(",") in ("}", "]")
        if opens:
            lines.extend(buffer)
            buffer = [line]
        elif closes and buffer:
            lines.append(buffer[0] + ", ".join(part.strip().rstrip(",") for part in buffer[1:]) + line.strip())
            buffer = []
        elif buffer:
            buffer.append(line)
        else:
            lines.append(line)
    return "\n".join([*lines, *buffer])


def _named_folder(text: str) -> tuple[str, Path]:
    item, found, folder = text.rpartition("=")
    path = Path(folder)
    return (item, path) if found else (path.resolve().name, path)


def _print_reports(reports: dict[str, Report], judged_by: str) -> None:
    groups = list(reports)
    out = sys.stdout
    out.write(f"AUC against good examples, and share of strong faults that are named; each set judged by {judged_by}\n\n")
    out.write(f"{'fault':20s}" + "".join(f"{group[:18]:>20s}" for group in groups) + "\n")
    for fault in sorted({fault for report in reports.values() for fault in report.auc}):
        cells = [
            f"{report.auc[fault]:.3f}  {100 * report.named[fault]:3.0f} %" if fault in report.auc else "-"
            for report in reports.values()
        ]
        out.write(f"{fault:20s}" + "".join(f"{cell:>20s}" for cell in cells) + "\n")
    for name, shares in (
        ("good ones pass", [report.good_passed for report in reports.values()]),
        ("real ones pass", [report.real_passed for report in reports.values()]),
    ):
        out.write(f"{name:20s}" + "".join(f"{'-' if one is None else f'{100 * one:.0f} %':>20s}" for one in shares) + "\n")


def _collect(arguments: argparse.Namespace, cards: Sequence[Card]) -> list[Record]:
    records = measure_cases(generated_cases(cards, arguments.generated, arguments.seed)) if arguments.generated else []
    normals: dict[str, list[Photo]] = {}
    for number, (item, folder) in enumerate(_named_folder(text) for text in arguments.normals):
        normals[item] = read_normals(folder, arguments.count, arguments.side)
        records += measure_cases(ladder_cases(item, item, normals[item], cards, arguments.seed + 100 + number))
    for item, folder in (_named_folder(text) for text in arguments.real):
        known = normals.get(item, [])
        records += measure_cases(real_cases(item, item, folder, known, cards, arguments.count, arguments.side, arguments.seed))
    return records


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m anomalyagent.mcp_tools.judge.calibration", description=__doc__)
    parser.add_argument("--normals", nargs="*", default=[], metavar="[ITEM=]DIR", help="folders with normal photos")
    parser.add_argument("--real", nargs="*", default=[], metavar="[ITEM=]DIR", help="data sets with real defects, MVTec layout")
    parser.add_argument(
        "--out", type=Path, help="refit, and write this calibration file; without it the shipped fit is checked"
    )
    parser.add_argument("--generated", type=int, default=8, help="generated photos of each specimen (0: none)")
    parser.add_argument("--count", type=int, default=40, help="photos of each folder and real defects of each type")
    parser.add_argument("--side", type=int, default=256, help="longer side to which photos are reduced, pixels")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        if options.out is not None and (missing := missing_modules(["scipy"], "eval")):
            raise BackendUnavailableError(f"a refit needs scipy: {missing}")
        records = _collect(options, load_cards())
        if not records:
            raise ToolInputError("nothing to calibrate on. Give --normals or a positive --generated.")
        shipped = read_calibration() if options.out is None else None
        calibration, reports = (shipped, check(records, shipped)) if shipped else calibrate(records)
    except AnomalyAgentError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    _print_reports(reports, "the shipped fit" if shipped else "a fit on the others")
    sys.stdout.write(f"\n{len(records)} cases")
    if options.out is not None:
        write_calibration(options.out, calibration, reports)
        sys.stdout.write(f"; wrote {options.out}")
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
