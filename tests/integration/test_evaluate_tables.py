"""`evaluate classify | generation | good-samples | cost | all`, whole and small, through the command line."""

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.defects import make_mvtec
from helpers.photos import make_photos
from helpers.shapes import make_run_dataset
from helpers.weights import save_vgg16
from typer.testing import CliRunner

from anomalyagent.cli import app
from anomalyagent.configs.schema import Settings
from anomalyagent.errors import AnomalyAgentError, BackendUnavailableError, ConfigError, ImageError, RunError
from anomalyagent.graph.run import Request, synthesize
from anomalyagent.training.evaluation.costs import Cost, measure_costs
from anomalyagent.training.evaluation.everything import match_items
from anomalyagent.training.evaluation.judged import count_ratings, make_review, wilson

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_mvtec(tmp_path_factory.mktemp("sets") / "widget", {"hole": 4, "spot": 3}, size=48)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_mvtec(tmp_path_factory.mktemp("sets") / "ours" / "widget", {"hole": 3, "spot": 3}, size=48)


@pytest.fixture(scope="module")
def vgg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_vgg16(tmp_path_factory.mktemp("weights") / "vgg16.pth")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    synthesize(Request([make_photos(folder / "normals", "part")], "nut", ["scratch", "stain"], 2, folder / "run"), Settings())
    return folder / "run"


def call(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["evaluate", *map(str, arguments)])
    if isinstance(done.exception, AnomalyAgentError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_classify_names_real_types_and_trains_nothing_twice(real: Path, ours: Path, tmp_path: Path) -> None:
    out = tmp_path / "table.md"
    command = ("classify", "--real", real, "--synthetic", f"ours={ours}", "--seeds", 1, "--epochs", 1, "--out", out)
    first = call(*command)
    table = out.read_text("utf-8")
    assert table in first
    assert "| oracle (few-shot) | 2 | 1 |" in table
    assert "| ours | 6 | 1 |" in table
    assert "no weights: trained from scratch" in table
    record = json.loads(out.with_suffix(".json").read_text("utf-8"))
    for one in record["results"]:
        assert sum(sum(row.values()) for row in one["named"].values()) == record["test_images"] == 5
        right = sum(row[kind] for kind, row in one["named"].items())
        assert one["accuracy"] == pytest.approx(right / 5)
    assert call(*command).count("kept from an earlier run") == 2
    assert out.read_text("utf-8") == table


def test_generation_reports_each_type_and_says_what_is_missing(real: Path, ours: Path, vgg: Path, tmp_path: Path) -> None:
    out = tmp_path / "generation.md"
    command = ("generation", "--real", real, "--synthetic", f"ours={ours}", "--vgg", vgg, "--out", out)
    with pytest.raises(BackendUnavailableError, match="is not VGG16, ImageNet: its SHA-256 begins with"):
        call(*command)
    assert "ours, spot: IC-LPIPS" in call(*command, "--other-weights")
    table = out.read_text("utf-8")
    assert "\n- OTHER weights than VGG16" in table
    assert "| AnomalyAgent | 15 items | - | - | 2." in table  # the paper's row
    assert "| ours | hole | 3 | 1 | - |" in table
    record = json.loads(out.with_suffix(".json").read_text("utf-8"))["contenders"][0]
    assert record["ic_lpips"] == pytest.approx(sum(kind["ic_lpips"] for kind in record["types"]) / 2)
    assert "kept from an earlier run" in call(*command, "--other-weights")
    with pytest.raises(ConfigError, match="both metrics need published weights"):
        call("generation", "--real", real, "--synthetic", f"ours={ours}", "--out", out)


def rating(review: str, expert: str, marks: dict[str, tuple[int, int]]) -> str:
    ratings = {key: {"realism": one, "consistency": two, "note": ""} for key, (one, two) in marks.items()}
    return json.dumps({"review": review, "expert": expert, "ratings": ratings})


def test_a_blind_review_shows_no_maker_and_counts_what_every_expert_calls_good(run: Path, ours: Path, tmp_path: Path) -> None:
    out = tmp_path / "review"
    shown = call("good-samples", "--synthetic", f"ours={run}", "--synthetic", f"other={ours}", "--count", 4, "--out", out)
    assert "| ours | 4 | 0 | - |" in shown
    page = (out / "review.html").read_text("utf-8")
    key: dict[str, Any] = json.loads((out / "key.json").read_text("utf-8"))
    assert len(key["samples"]) == 8
    assert all(digest in page for digest in key["samples"])
    assert "other" not in page.split("const DATA = ")[1].split(";\n")[0]
    assert "/*DATA*/" not in page
    mine = [digest for digest, one in key["samples"].items() if one["contender"] == "ours"]
    assert all(key["samples"][digest]["judge_quality"] is not None for digest in mine)

    marks = dict.fromkeys(key["samples"], (9, 8)) | {mine[0]: (9, 7)}
    for expert in ("ann", "bob", "cy"):
        (out / f"ratings-{expert}.json").write_text(rating(key["review"], expert, marks))
    marks[mine[1]] = (5, 9)
    (out / "ratings-cy.json").write_text(rating(key["review"], "cy", {k: v for k, v in marks.items() if k != mine[2]}))
    rate, other = count_ratings(out)
    assert (rate.contender, rate.experts, rate.rated) == ("ours", 3, 3)  # one sample was not rated by all
    assert rate.good == pytest.approx(1 / 3)
    assert rate.agreement == pytest.approx(2 / 3)
    assert other.good == 1.0
    assert (other.judged, other.judge_good) == (0, None)
    assert "| ours | 4 | 3 | 33.3 |" in call("good-samples", "--out", out)
    assert "| **ours** | 4 | 4 | 33.3 |" in call("cost", "--run", f"ours={run}", "--review", out)
    with pytest.raises(RunError, match="holds a review already"):
        make_review({"ours": run}, out, Settings(), lambda _line: None)
    (out / "ratings-dan.json").write_text(rating("0" * 12, "dan", marks))
    with pytest.raises(RunError, match=r"ratings of 'dan' belong to the review 000000000000"):
        count_ratings(out)


def test_a_review_shows_every_item_and_words_captions_alike(real: Path, tmp_path: Path) -> None:
    sets = {name: tmp_path / name for name in ("mine", "theirs")}
    for name, items in {"mine": ("metal nut", "disc"), "theirs": ("metal_nut", "plate")}.items():
        for item in items:
            make_mvtec(sets[name] / item, {"bent_lead": 2, "hole": 2}, size=48)
    said: list[str] = []
    page = make_review(sets, tmp_path / "review", Settings(), said.append, count=3)
    data = json.loads(page.read_text("utf-8").split("const DATA = ")[1].split(";\n")[0])
    shown = {(one["item"], one["type"]) for one in data["samples"]}
    assert {item for item, _ in shown} == {"metal nut", "disc", "plate"}
    assert {kind for _, kind in shown} == {"bent lead", "hole"}
    assert len(data["samples"]) == 6
    here = make_mvtec(tmp_path / "here" / "cog_wheel", {"hole": 1}, size=48)
    with contextlib.chdir(here):
        page = make_review({"mine": Path()}, tmp_path / "other", Settings(), lambda _line: None, count=1)
    assert json.loads(page.read_text("utf-8").split("const DATA = ")[1].split(";\n")[0])["samples"][0]["item"] == "cog wheel"
    assert said[-1] == "not blind: captions tell the contenders apart, since not all of them have disc, plate"
    for review, blind in (("review", said[-1]), ("other", "blind")):
        count_ratings(tmp_path / review)
        assert f"0 experts, {blind}." in (tmp_path / review / "good_samples.md").read_text("utf-8")


def test_files_that_cannot_be_counted_are_named_with_what_to_do(ours: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"holds no review: make one with --synthetic NAME=DIR\.$"):
        count_ratings(tmp_path)
    make_review({"ours": ours}, tmp_path, Settings(), lambda _line: None, count=2)
    review = json.loads((tmp_path / "key.json").read_text("utf-8"))["review"]
    (tmp_path / "ratings-ann.json").write_text(rating(review, "ann", {"a": (11, 3)}))
    with pytest.raises(RunError, match=r"ratings-ann\.json is damaged: ratings\.a\.realism: Input should be less than"):
        count_ratings(tmp_path)
    for name in ("ratings-ann.json", "ratings-ann (1).json"):
        (tmp_path / name).write_text(rating(review, "ann", {}))
    with pytest.raises(RunError, match=r"two ratings by ann, .* keep one of ratings-ann \(1\)\.json, ratings-ann\.json\."):
        count_ratings(tmp_path)


def test_intervals_of_shares_are_wilsons() -> None:
    low, high = wilson(8, 10)
    assert (low, high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert wilson(0, 5)[0] == 0.0


def test_cost_spreads_all_work_over_the_good_samples(run: Path, tmp_path: Path) -> None:
    assert Cost("x", 12, 8, 40.0, 2.0, 0.5).seconds_per_good == 10.0
    assert Cost("x", 12, 8, 40.0, 2.0, 0.5).dollars_per_good == 0.5
    assert Cost("x", 3, 0, 40.0, 2.0, None).seconds_per_good is None
    (whole,) = measure_costs({"ours": run}, {})
    (half,) = measure_costs({"ours": run}, {"ours": 0.5})
    assert whole.seconds_per_good is not None
    assert half.seconds_per_good == pytest.approx(2 * whole.seconds_per_good)
    out = tmp_path / "cost.md"
    assert "| AnomalyAgent | - | - | 91.3 | 117.2 | 0.0567 |" in call("cost", "--run", f"ours={run}", "--out", out)
    assert "| **ours** | 4 | 4 | all |" in out.read_text("utf-8")
    (kept,) = json.loads(out.with_suffix(".json").read_text("utf-8"))
    assert (kept["name"], kept["accepted"], kept["seconds_per_good"]) == ("ours", 4, whole.seconds_per_good)
    review = tmp_path / "review"
    call("good-samples", "--synthetic", f"ours={run}", "--count", 4, "--out", review)
    assert "(our judge) |" in call("cost", "--run", f"ours={run}", "--review", review)
    with pytest.raises(RunError, match="holds no finished run"):
        call("cost", "--run", f"ours={tmp_path}")
    with pytest.raises(ConfigError, match="which is no run; runs: ours"):
        call("cost", "--run", f"ours={run}", "--good-rate", "theirs=0.5")


def test_all_tables_stand_beside_the_papers_rows(real: Path, ours: Path, vgg: Path, run: Path, tmp_path: Path) -> None:
    sets = tmp_path / "real"
    shutil.copytree(real, sets / "widget")
    make_mvtec(sets / "disc", {"spot": 3}, size=48)
    mine = tmp_path / "mine"
    shutil.copytree(ours, mine / "widget")
    shutil.copytree(sets / "disc", mine / "disc")
    call("good-samples", "--synthetic", f"ours={run}", "--count", 2, "--out", tmp_path / "review")
    command = ["all", "--real", sets, "--synthetic", f"ours={mine}", "--seeds", 1, "--steps", 1, "--epochs", 1, "--vgg", vgg]
    command += [
        "--other-weights",
        "--count",
        4,
        "--run",
        f"ours={run}",
        "--review",
        tmp_path / "review",
        "--out",
        tmp_path / "all",
    ]
    output = call(*command)
    page = (tmp_path / "all/README.md").read_text("utf-8")
    assert page in output
    assert "2 of 2 items" in page
    assert "compare with care" in page
    assert "Not the paper's size" in page
    assert "having one type only: disc" in page
    assert "| AnomalyAgent | 2.10 | 0.33 |" in page
    assert "| AnomalyAgent | 98.5 | 99.3 | 97.3 | 98.0 | 74.2 | 70.3 | - | - |" in page
    assert page.count("| **ours** |") == 4
    figures = json.loads((tmp_path / "all/results.json").read_text("utf-8"))["figures"]
    assert set(figures["ours"]["pixel_ap"]) == {"disc", "widget"}
    assert set(figures["ours"]["accuracy"]) == {"widget"}
    weak = [f"{ap:.1f} on {item}" for item, ap in figures["oracle"]["pixel_ap"].items() if ap < 50]
    assert weak, "one step should be too short for at least one item"
    assert f"The oracle itself reaches a pixel AP of only {', '.join(weak)}: this training is too short" in page
    assert "disc/localize.md" in {path.relative_to(tmp_path / "all").as_posix() for path in (tmp_path / "all").rglob("*.md")}
    again = call(*command)
    assert again.count("kept from an earlier run") == 9  # 3 types, 2 x localize and once classify for ours and the oracle
    assert (tmp_path / "all/README.md").read_text("utf-8") == page


def test_an_oracle_that_lacks_a_type_of_the_last_item_is_refused_before_the_first(
    real: Path, ours: Path, tmp_path: Path
) -> None:
    sets, mine = tmp_path / "real", tmp_path / "mine"
    for name in ("aaa", "zzz"):
        shutil.copytree(ours, mine / name)
    shutil.copytree(real, sets / "aaa")
    make_mvtec(sets / "zzz", {"line": 2, "spot": 3}, size=48)
    command = ["all", "--real", sets, "--synthetic", f"ours={mine}", "--parts", "classify", "--out", tmp_path / "all"]
    with pytest.raises(ImageError, match=r"these have fewer: zzz \(line\)\. Leave it out with --no-oracle"):
        call(*command)
    assert not (tmp_path / "all").exists()


def test_a_contender_without_an_item_is_named(real: Path, ours: Path, tmp_path: Path) -> None:
    sets = tmp_path / "real"
    for name in ("widget", "disc"):
        shutil.copytree(real, sets / name)
    with pytest.raises(ImageError, match="'ours' has nothing for the item 'disc'"):
        match_items(sets, {"ours": ours.parent})
    # a folder of other items used to serve: its first one was taken
    with pytest.raises(ImageError, match="'ours' has nothing for the item 'widget'"):
        match_items(real, {"ours": _other_items(tmp_path / "others")})
    alone = match_items(real, {"ours": make_run_dataset(tmp_path / "run")})
    assert alone["widget"][1]["ours"].name == "metal_nut"


def _other_items(folder: Path) -> Path:
    for name in ("disc", "plate"):
        make_mvtec(folder / name, {"spot": 1}, size=48)
    return folder


def test_kinds_can_be_named_without_a_single_good_photo(real: Path, ours: Path, tmp_path: Path) -> None:
    bare = tmp_path / "widget"
    shutil.copytree(real, bare)
    shutil.rmtree(bare / "train")
    shutil.rmtree(bare / "test" / "good")
    mine = tmp_path / "ours"
    shutil.copytree(ours, mine)
    for part in ("test", "ground_truth"):
        shutil.copytree(mine / part / "hole", mine / part / "not_named")
    call("classify", "--real", bare, "--synthetic", f"ours={mine}", "--seeds", 1, "--epochs", 1, "--out", tmp_path / "table.md")
    for number in (1, 2):
        (bare / f"test/spot/{number:03d}.png").unlink()
    with pytest.raises(ImageError, match="at least three real images of each type, and spot has fewer; leave it out"):
        call("classify", "--real", bare, "--seeds", 1, "--epochs", 1, "--out", tmp_path / "table.md")
    assert "| ours | 6 | 1 |" in (tmp_path / "table.md").read_text("utf-8")  # three are of a type that nobody asked for
