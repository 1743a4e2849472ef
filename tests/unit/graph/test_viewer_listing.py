"""What the table of the viewer shows for an address."""

from anomalyagent.graph.review import Review
from anomalyagent.graph.run_index import Entry
from anomalyagent.graph.viewer.listing import PAGE_SIZE, Query, list_entries, select
from anomalyagent.graph.viewer.runs import shorten

ENTRIES = [
    Entry("a-0", "accepted", "it passed.", "nut", "scratch", score=8.0, seconds=1.0, rounds=1),
    Entry(
        "a-1",
        "rejected",
        "no image passed.",
        "nut",
        "scratch",
        score=3.0,
        findings=("halo", "too_faint"),
        seconds=4.0,
        rounds=3,
    ),
    Entry("b-0", "failed", "the server is gone.", "nut", "dent", seconds=0.5),
    Entry("b-1", "unreadable", "b-1.json was cut off."),
]


def names(address: dict[str, str], reviews: dict[str, Review] | None = None) -> list[str]:
    return [entry.name for entry in select(ENTRIES, Query.read(address), reviews or {})]


def test_each_filter_of_an_address_narrows_the_table() -> None:
    assert names({"outcome": "rejected"}) == ["a-1"]
    assert names({"type": "scratch"}) == ["a-0", "a-1"]
    assert names({"finding": "too_faint"}) == ["a-1"]
    assert names({"low": "5"}) == ["a-0"]
    assert names({"low": "1", "high": "5"}) == ["a-1"]
    assert names({"q": "SERVER dent"}) == ["b-0"]
    kept = {"a-0": Review(trajectory="a-0", verdict="keep", at="2026-01-01")}
    assert names({"verdict": "keep"}, kept) == ["a-0"]
    assert names({"verdict": "none"}, kept) == ["a-1", "b-0", "b-1"]


def test_orders_go_both_ways_and_what_makes_no_sense_counts_as_not_given() -> None:
    assert names({"sort": "-score"})[:2] == ["a-0", "a-1"]
    assert names({"sort": "seconds"})[-1] == "a-1"
    nonsense = {"sort": "drop table", "page": "-1", "outcome": "x", "low": "nan", "high": "many", "verdict": "?"}
    assert Query.read(nonsense) == Query()


def test_an_address_reads_back_and_leaves_out_what_is_not_set() -> None:
    query = Query(q="a b&c", outcome="failed", low=2.5, sort="-cost", page=3)
    address = query.address(page=3)
    assert address == "?q=a+b%26c&outcome=failed&low=2.5&sort=-cost&page=3"
    assert Query().address() == "?"
    assert query.address(outcome="").endswith("sort=-cost")  # another filter begins at page 1


def test_figures_histograms_and_reasons_are_those_of_the_matches() -> None:
    listing = list_entries(ENTRIES, Query(), {})
    assert listing.outcomes == {"accepted": 1, "rejected": 1, "failed": 1, "unreadable": 1}
    assert (listing.score_mean, listing.seconds_per_good) == (8.0, 5.5)
    assert [(bar.low, bar.accepted, bar.rejected) for bar in listing.scores.bars if bar.total] == [(3.0, 0, 1), (8.0, 1, 0)]
    assert sum(bar.total for bar in listing.times.bars) == 3
    assert {(one.text, one.count) for one in listing.reasons} == {
        ("halo", 1),
        ("failed: the server is gone.", 1),
        ("unreadable: b-1.json was cut off.", 1),
    }
    for one in listing.reasons:
        params = dict(part.split("=") for part in one.address[1:].replace("+", " ").split("&"))
        assert len(names(params)) == one.count


def test_a_page_holds_fifty_rows_and_one_beyond_the_end_is_the_last() -> None:
    many = [ENTRIES[0]._replace(name=f"{number:05d}") for number in range(PAGE_SIZE * 2 + 1)]
    assert len(list_entries(many, Query(), {}).rows) == PAGE_SIZE
    last = list_entries(many, Query(page=99), {})
    assert (last.query.page, len(last.rows)) == (3, 1)


def test_long_texts_and_lists_are_cut_and_say_so() -> None:
    cut = shorten({"a": "x" * 50, "b": list(range(1000)), "c": {"d": 1}}, most=10)
    assert cut["a"] == "xxxxxxxxxx … (40 more characters)"
    assert (len(cut["b"]), cut["c"]) == (400, {"d": 1})
