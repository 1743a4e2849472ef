from anomalyagent.graph.dataset import sample_stem


def test_names_of_samples_and_of_their_masks_sort_alike_however_many_there_are() -> None:
    for most in (1, 200, 1000, 1001, 12_000):
        stems = [sample_stem(number, most) for number in range(most)]
        assert sorted(f"{stem}.png" for stem in stems) == [f"{stem}.png" for stem in stems]
        assert sorted(f"{stem}_mask.png" for stem in stems) == [f"{stem}_mask.png" for stem in stems]
    assert sample_stem(7, 200) == "007"
