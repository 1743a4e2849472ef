"""The viewer, driven in a real browser on a real run."""

import contextlib
import json
import re
import threading
from pathlib import Path

import pytest
from helpers.accessible import assert_no_serious_fault
from helpers.viewer import NORMALS, Serve
from playwright.sync_api import Browser, Error, Page, Route, expect

from anomalyagent.configs.schema import Settings
from anomalyagent.graph.locate import trajectory_ids
from anomalyagent.graph.review import read_reviews, record_verdict
from anomalyagent.graph.run import Request, synthesize
from anomalyagent.graph.trace import Trajectory, read_trajectory
from anomalyagent.graph.viewer.app import Options
from anomalyagent.graph.viewer.export import export_run


def told(run: Path) -> list[Trajectory]:
    return [read_trajectory(run / "trajectories" / f"{name}.json") for name in trajectory_ids(run)]


def of(run: Path, outcome: str) -> Trajectory:
    """A trajectory of that outcome, with as many rounds as there are."""
    return max((one for one in told(run) if one.outcome == outcome), key=lambda one: one.rounds)


class Gate:
    """Holds the next request of `page` for an address like the pattern `address`, until it is told what becomes of it."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.held: Route | None = None
        page.route(re.compile(address), self._hold, times=1)

    def _hold(self, route: Route) -> None:
        self.held = route

    def wait(self) -> Route:
        """The request, as soon as there is one."""
        for _ in range(6000):  # a minute, where it never comes
            if self.held is not None:
                return self.held
            self.page.wait_for_timeout(10)
        raise AssertionError("no such request came")


def test_filtering_and_sorting_change_the_table_and_its_address(page: Page, viewer: str, run: Path) -> None:
    page.goto(viewer)
    rows = page.locator("table.rows tbody tr")
    expect(rows).to_have_count(len(told(run)))
    rejected = sum(one.outcome == "rejected" for one in told(run))
    page.locator("select[name=outcome]").select_option("rejected")
    expect(rows).to_have_count(rejected)
    expect(page).to_have_url(f"{viewer}?outcome=rejected")
    page.keyboard.press("Escape")
    page.locator("h1").click()
    page.keyboard.press("/")
    page.keyboard.type("no such words")
    expect(page.get_by_text("Nothing matches")).to_be_visible()
    page.get_by_role("link", name="Show all").click()
    expect(rows).to_have_count(len(told(run)))
    page.locator("select[name=sort]").select_option("-score")
    expect(page).to_have_url(f"{viewer}?sort=-score")
    best = max((one for one in told(run)), key=lambda one: one.score or -1)
    expect(rows.first.locator("[data-row]")).to_have_text(best.id)
    page.reload()
    expect(page.locator("select[name=sort]")).to_have_value("-score")
    picture = page.locator("td.pics img").first
    picture.scroll_into_view_if_needed()  # it is loaded only then, and not before the page is called whole
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 144


def test_the_last_change_of_the_filter_counts_however_slow_the_answers_are(page: Page, viewer: str, run: Path) -> None:
    rejected = sum(one.outcome == "rejected" for one in told(run))
    script = Gate(page, "/static/htmx")
    page.goto(viewer, wait_until="commit")
    script.wait()
    outcome, rows = page.locator("select[name=outcome]"), page.locator("table.rows tbody tr")
    outcome.select_option("rejected")  # nobody listens yet
    script.wait().continue_()
    expect(page).to_have_url(f"{viewer}?outcome=rejected")
    expect(rows).to_have_count(rejected)
    page.wait_for_load_state()
    first = Gate(page, r"[?&]outcome=failed(&|$)")
    outcome.select_option("failed")
    first.wait()
    second = Gate(page, r"[?&]outcome=accepted(&|$)")
    outcome.select_option("accepted")  # before the first answer is there
    second.wait()
    last = Gate(page, r"[?&]outcome=(&|$)")
    outcome.select_option("")
    last.wait().continue_()
    expect(page).to_have_url(viewer)
    expect(rows).to_have_count(len(told(run)))


def test_a_look_for_news_that_comes_late_does_not_undo_the_filter(page: Page, viewer: str, run: Path) -> None:
    rejected = sum(one.outcome == "rejected" for one in told(run))
    page.goto(viewer)
    look = Gate(page, r"[?&]since=")
    look.wait()
    record_verdict(run, told(run)[0].id, "keep", "")  # there is news
    page.locator("select[name=outcome]").select_option("rejected")
    rows = page.locator("table.rows tbody tr")
    expect(rows).to_have_count(rejected)
    with contextlib.suppress(Error):  # given up by the page
        look.wait().continue_()
    with page.expect_response(re.compile(r"[?&]since=.*outcome=rejected|outcome=rejected.*[?&]since=")):
        pass  # the next look
    expect(page).to_have_url(f"{viewer}?outcome=rejected")
    expect(rows).to_have_count(rejected)


def test_the_keyboard_reaches_trajectories_and_goes_on_to_the_next(page: Page, viewer: str, run: Path) -> None:
    page.goto(f"{viewer}?sort=score")
    names = page.locator("[data-row]").all_inner_texts()
    page.keyboard.press("n")
    page.keyboard.press("n")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(names[1])
    page.keyboard.press("n")
    expect(page.get_by_role("heading", level=1)).to_have_text(names[2])
    page.keyboard.press("p")
    expect(page.get_by_role("heading", level=1)).to_have_text(names[1])
    page.keyboard.press("?")
    expect(page.get_by_text("previous, next round")).to_be_visible()


def test_images_are_swiped_switched_and_zoomed_and_the_address_says_so(page: Page, viewer: str, run: Path) -> None:
    one = of(run, "rejected")
    page.goto(f"{viewer}/t/{one.id}")
    stage = page.locator("[data-stage]")
    over = stage.locator("img.over")
    page.keyboard.press("6")
    expect(stage).to_have_attribute("data-view", "swipe")
    box = stage.locator(".layers").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 100, steps=4)
    page.mouse.up()
    clip = over.evaluate("image => getComputedStyle(image).clipPath")
    assert 24 <= float(clip.split()[-1].rstrip("%)")) <= 26
    for _ in range(one.rounds - 1):  # the image that opens is the best one; go to the last
        page.keyboard.press("]")
    last = over.get_attribute("src")
    page.keyboard.press("[")
    assert over.get_attribute("src") != last
    page.get_by_label("against").select_option(label=f"Round {one.rounds}")
    assert stage.locator("img.under").get_attribute("src") == last
    page.keyboard.press("5")
    assert over.evaluate("image => getComputedStyle(image).mixBlendMode") == "difference"
    page.get_by_label("zoom").select_option("4")
    width = over.evaluate("image => image.naturalWidth")
    assert stage.locator(".layers").evaluate("layers => layers.clientWidth") == 4 * width
    page.reload()
    expect(stage).to_have_attribute("data-view", "difference")
    assert stage.locator(".layers").evaluate("layers => layers.clientWidth") == 4 * width
    for image in stage.locator(".layers img").all():
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == width


def test_the_path_is_lit_and_counted_and_turns_rounds_and_findings_are_told(page: Page, viewer: str, run: Path) -> None:
    one = of(run, "rejected")
    page.goto(f"{viewer}/t/{one.id}")
    calls = [turn.action.name for turn in one.turns if turn.action.kind == "tool_call"]
    lit = page.locator("svg.graph .node.taken text:first-of-type").all_text_contents()
    assert set(calls) < set(lit)
    counts = page.locator("svg.graph text.count").all_text_contents()
    assert sorted(counts) == sorted(f"×{calls.count(name)}" for name in set(calls))
    expect(page.locator("li.turn")).to_have_count(len(one.turns))
    expect(page.locator("article.round")).to_have_count(one.rounds)
    expect(page.get_by_text("What stood in the way")).to_be_visible()
    assert page.locator("article.round ins").count() > 0
    expect(page.locator(".history .score circle")).to_have_count(one.rounds)


def test_two_chosen_rows_are_compared_and_the_parting_is_marked(page: Page, viewer: str, run: Path) -> None:
    page.goto(viewer)
    boxes = page.locator("input[name=pick]")
    boxes.nth(0).check()
    boxes.nth(1).check()
    page.keyboard.press("c")
    expect(page.get_by_text("They part at turn 0")).to_be_visible()
    page.get_by_role("link", name="Go there").click()
    expect(page.locator("#pair-0.parted")).to_be_in_viewport()


def test_a_fork_from_the_page_changes_the_severity_and_leaves_its_parent_alone(page: Page, viewer: str, run: Path) -> None:
    parent = of(run, "rejected")
    before = (run / "trajectories" / f"{parent.id}.json").read_bytes()
    page.goto(f"{viewer}/t/{parent.id}")
    page.locator("#turn-1").get_by_role("link", name="Fork here").click()
    page.get_by_label("spec.severity").fill("nonsense value")
    page.get_by_role("button", name="Fork").click()
    expect(page.get_by_role("alert")).to_contain_text("spec.severity")
    page.get_by_label("spec.severity").fill("3.5")
    page.get_by_role("button", name="Fork").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{parent.id}-fork1")
    made = read_trajectory(run / "trajectories" / f"{parent.id}-fork1.json")
    action = made.turns[1].action
    assert action.kind == "tool_call"
    assert (made.parent_id, made.forked_at, action.arguments["spec"]["severity"]) == (parent.id, 1, 3.5)
    assert made.turns[0] == parent.turns[0]
    assert (run / "trajectories" / f"{parent.id}.json").read_bytes() == before
    expect(page.locator(".edits tr", has_text="spec.severity")).to_contain_text("3.5")
    page.get_by_role("link", name="Compare with its parent").click()
    expect(page.get_by_text("They part at turn 1")).to_be_visible()
    expect(page.locator(".changes", has_text="spec.severity").first).to_contain_text("3.5")
    page.goto(f"{viewer}/t/{parent.id}")
    expect(page.get_by_text("Forks of this one")).to_be_visible()


def test_a_replay_asks_before_each_drawing_and_takes_a_change_and_a_rejection(page: Page, viewer: str, run: Path) -> None:
    parent = of(run, "accepted")
    page.goto(f"{viewer}/t/{parent.id}/replay")
    page.locator("input[name='approve:image_gen']").check()
    page.get_by_role("button", name="Replay").click()
    started = page.get_by_role("heading", level=1)
    expect(started).to_have_text("image_gen waits for you")
    assert_no_serious_fault(page, "a call that waits")
    page.goto(viewer)
    expect(page.get_by_text("1 waiting for you")).to_be_visible()
    page.get_by_role("link", name="1 fork is under way").click()
    expect(started).to_have_text("Forks under way")
    assert_no_serious_fault(page, "forks under way")
    page.get_by_role("link", name="image_gen waits for you").click()
    page.get_by_label("spec.severity").fill("5.25")
    page.get_by_role("button", name="Make the call").click()
    fork = f"{parent.id}-fork1"
    page.wait_for_url(re.compile(rf"/(t|forks)/{fork}$"))
    while "/forks/" in page.url:  # not good enough: it draws again, and asks again
        page.get_by_label("Why not").fill("leave it")
        page.get_by_role("button", name="Reject it").click()
        page.wait_for_url(re.compile(rf"/(t|forks)/{fork}$"))
    made = read_trajectory(run / "trajectories" / f"{fork}.json")
    edited = next(turn for turn in made.turns if turn.action.kind == "tool_call" and turn.action.name == "image_gen")
    assert edited.action.kind == "tool_call"
    assert edited.action.arguments["spec"]["severity"] == 5.25


def test_reviewing_goes_by_keys_from_one_to_the_next_and_agreement_is_shown(page: Page, viewer: str, run: Path) -> None:
    wanted = [one.id for one in told(run) if one.outcome != "failed"]
    page.goto(viewer)
    page.keyboard.press("r")
    for number, key in zip(range(len(wanted)), "kdf" * len(wanted), strict=False):
        expect(page.get_by_role("heading", level=1)).to_have_text(wanted[number])
        page.keyboard.press(key)
        page.wait_for_url(lambda url, name=wanted[number]: f"/t/{name}" not in url)
    expect(page.get_by_text("All reviewed")).to_be_visible()
    verdicts = read_reviews(run)
    assert [verdicts[name].verdict for name in wanted[:3]] == ["keep", "drop", "fix"]
    assert len(verdicts) == len(wanted)
    page.goto(f"{viewer}?verdict=drop")
    expect(page.get_by_text("the judge says the same of")).to_be_visible()
    expect(page.locator("table.rows .verdict-drop").first).to_be_visible()
    page.goto(f"{viewer}/t/{wanted[0]}")
    page.keyboard.press("u")
    expect(page.get_by_role("button", name="keep")).to_have_attribute("aria-pressed", "false")
    assert wanted[0] not in read_reviews(run)


@pytest.mark.parametrize("parsed", [True, False], ids=["its-scripts-are-late", "its-end-is-late"])
def test_keys_of_a_quick_reviewer_are_neither_lost_nor_given_twice(page: Page, viewer: str, run: Path, parsed: bool) -> None:
    """A key counts as soon as the page is seen, also where the rest comes late, but not while an answer is under way."""
    first, second, third = [one.id for one in told(run) if one.outcome != "failed"][:3]

    def with_a_script_at_its_end(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace("</body>", '<script src="/static/late.js"></script></body>'))

    if not parsed:
        page.route("**/review", with_a_script_at_its_end, times=1)  # not the answers to verdicts, at addresses that end so, too
    script = Gate(page, "/static/htmx" if parsed else "/static/late")
    page.goto(f"{viewer}/review", wait_until="commit")
    script.wait()
    expect(page.get_by_role("heading", level=1)).to_have_text(first)
    while parsed and page.evaluate("document.readyState") == "loading":  # its heading may be seen before its end is read
        page.wait_for_timeout(10)
    assert page.evaluate("document.readyState") == ("interactive" if parsed else "loading")
    answer = Gate(page, r"/t/[^/]+/review(\?|$)")
    page.keyboard.press("d")  # the page is not whole yet; this takes it away
    page.keyboard.press("k")  # what the first key said is on its way
    script.wait().fulfill(body="", content_type="text/javascript")
    answer.wait().continue_()
    page.wait_for_url(f"**/t/{second}*")
    page.wait_for_load_state()
    answer = Gate(page, r"/t/[^/]+/review(\?|$)")
    page.keyboard.press("f")
    answer.wait()
    page.keyboard.press("k")
    answer.wait().continue_()
    page.wait_for_url(f"**/t/{third}*")
    assert {name: review.verdict for name, review in read_reviews(run).items()} == {first: "drop", second: "fix"}
    page.goto(f"{viewer}/t/{third}")
    page.keyboard.press("f")  # here the page stays: its keys must go on working
    expect(page.get_by_role("button", name="fix")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("k")
    expect(page.get_by_role("button", name="keep")).to_have_attribute("aria-pressed", "true")


def test_the_page_of_a_running_run_grows_by_itself(page: Page, serve: Serve, tmp_path: Path) -> None:
    out = tmp_path / "nuts"
    (out / "trajectories").mkdir(parents=True)
    request = Request([NORMALS / "metal_nut"], "metal nut", ["scratch"], 3, out)
    with serve([out]) as address:
        page.goto(f"{address}/r/nuts")
        expect(page.get_by_text("No trajectory is finished yet")).to_be_visible()
        work = threading.Thread(target=synthesize, args=(request, Settings()))
        work.start()
        expect(page.locator("table.rows tbody tr")).not_to_have_count(0)
        work.join()
        expect(page.locator(".figure", has_text="accepted")).to_contain_text("3")
        expect(page.locator(".figures")).to_contain_text("complete")


def test_two_runs_are_compared_task_by_task(page: Page, serve: Serve, run: Path, made_run: Path) -> None:
    changed = of(run, "accepted")
    file = run / "trajectories" / f"{changed.id}.json"
    raw = json.loads(file.read_text())
    raw["turns"][1]["thought"] = "Another thought."
    file.write_text(json.dumps(raw))
    with serve([made_run, run]) as address:
        page.goto(address)
        page.get_by_role("button", name="Compare").click()
        expect(page.locator("table.pairs tbody tr")).to_have_count(1)
        expect(page.locator("table.pairs")).to_contain_text("turn 1, thought")
        assert_no_serious_fault(page, "two runs compared")
        page.get_by_role("link", name=changed.id).click()
        expect(page.get_by_text("They part at turn 1")).to_be_visible()


def test_one_exported_file_works_without_a_server_or_network(browser: Browser, run: Path, tmp_path: Path) -> None:
    export_run(run, tmp_path / "page.html")
    one = of(run, "rejected")
    context = browser.new_context(offline=True)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto((tmp_path / "page.html").as_uri())
    assert_no_serious_fault(page, "an exported file")
    page.locator("#filter-rows").fill("rejected")
    rejected = sum(two.outcome == "rejected" for two in told(run))
    expect(page.locator("table.rows tbody tr:visible")).to_have_count(rejected)
    page.get_by_role("link", name=one.id, exact=True).click()
    story = page.locator("[data-story]:visible")
    expect(story.get_by_role("heading", level=1)).to_have_text(one.id)
    page.keyboard.press("6")
    stage = story.locator("[data-stage]")
    expect(stage).to_have_attribute("data-view", "swipe")
    for image in stage.locator(".layers img").all():
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    page.keyboard.press("n")
    expect(page.locator("[data-story]:visible h1")).not_to_have_text(one.id)
    page.go_back()
    expect(page.locator("[data-story]:visible h1")).to_have_text(one.id)
    assert complaints == []
    context.close()


def test_hostile_texts_and_names_run_nothing_in_the_browser(page: Page, serve: Serve, run: Path, tmp_path: Path) -> None:
    nasty = "\"'><script>window.hacked=1</script><img src=x onerror='window.hacked=1'><a hx-get='/x' hx-trigger='load'>"
    one = of(run, "rejected")
    raw = json.loads((run / "trajectories" / f"{one.id}.json").read_text())
    for turn in raw["turns"]:
        turn["thought"] = nasty
        turn["observation"] = turn["observation"] and {**turn["observation"], "text": nasty}
    raw["task"]["anomaly_type"] = raw["reason"] = raw["policy"] = nasty
    (run / "trajectories" / "x' onload='window.hacked=1.json").write_text(json.dumps(raw))
    export_run(run, tmp_path / "page.html")
    with serve([run], Options(allow_fork=True)) as address:
        for where in (
            "",
            "?q=script",
            f"?type={nasty}",
            "/t/x' onload='window.hacked=1",
            "/t/x' onload='window.hacked=1/fork?at=1",
        ):
            page.goto(f"{address}/r/tablets{where}")
            assert page.evaluate("window.hacked") is None
            assert page.locator("[hx-get='/x']").count() == 0
        page.goto((tmp_path / "page.html").as_uri())
        assert page.evaluate("window.hacked") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_serious_accessibility_fault_is_found_at_any_width_or_scheme(
    browser: Browser, viewer: str, run: Path, scheme: str, width: int
) -> None:
    names = [one.id for one in told(run)]
    rejected = of(run, "rejected").id
    context = browser.new_context(
        viewport={"width": width, "height": 844}, color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce"
    )
    page = context.new_page()
    paths = [
        "",
        f"/t/{rejected}",
        f"/compare?a={names[0]}&b={names[1]}",
        f"/t/{rejected}/fork?at=1",
        "/forks",
        "?q=nothing-at-all",
    ]
    for path in paths if (width, scheme) in ((1280, "light"), (390, "dark")) else paths[:2]:
        page.goto(f"{viewer}{path}")
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert_no_serious_fault(page, path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    context.close()
