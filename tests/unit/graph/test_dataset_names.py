from pathlib import Path

from anomalyagent.graph.dataset import DatasetWriter, sample_stem
from anomalyagent.graph.tasks import Ledger, TypePlan
from anomalyagent.graph.trace import Trajectory


def test_names_of_samples_and_of_their_masks_sort_alike_however_many_there_are() -> None:
    for most in (1, 200, 1000, 1001, 12_000):
        stems = [sample_stem(number, most) for number in range(most)]
        assert sorted(f"{stem}.png" for stem in stems) == [f"{stem}.png" for stem in stems]
        assert sorted(f"{stem}_mask.png" for stem in stems) == [f"{stem}_mask.png" for stem in stems]
    assert sample_stem(7, 200) == "007"


def test_a_run_that_grows_past_a_thousand_leaves_no_sample_under_its_shorter_name(tmp_path: Path) -> None:
    names = {
        "test": ["999.png", "0999.png", "1000.png", "mine.png"],
        "ground_truth": ["999_mask.png", "0999_mask.png"],
    }
    for part, files in names.items():
        (tmp_path / "dataset" / "nut" / part / "dent").mkdir(parents=True)
        for name in files:
            (tmp_path / "dataset" / "nut" / part / "dent" / name).touch()

    def read(_: object) -> Trajectory:
        raise AssertionError("nothing is due")

    plans = [TypePlan("dent", "dent", 1001)]
    DatasetWriter(tmp_path, "nut", plans, Ledger(plans, 1), read, {}, link=True, keep_rejected=False)
    left = {part: sorted(path.name for path in (tmp_path / "dataset/nut" / part / "dent").iterdir()) for part in names}
    assert left == {"test": ["0999.png", "1000.png", "mine.png"], "ground_truth": ["0999_mask.png"]}
