"""The blind review page of `evaluate good-samples`, rated in a real browser, and its file counted."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.accessible import assert_no_serious_fault
from playwright.sync_api import Page, expect

from anomalyagent.configs.schema import Settings
from anomalyagent.training.evaluation.judged import count_ratings, make_review


@pytest.fixture
def review(made_run: Path, tmp_path: Path) -> Path:
    """A folder with a review of four samples."""
    make_review({"ours": made_run}, tmp_path / "review", Settings(), lambda _line: None, count=4)
    return tmp_path / "review"


def begin(page: Page, review: Path, expert: str) -> None:
    page.goto((review / "review.html").as_uri())
    expect(page.locator("#expert")).to_be_focused()
    page.keyboard.type(expert)
    page.keyboard.press("Enter")
    expect(page.locator("#work")).to_be_visible()


def shown(page: Page) -> Callable[[], str]:
    """Id of the picture that is shown."""
    return lambda: str(page.evaluate("sample().id"))


def pressed(page: Page, scale: str) -> list[str]:
    return page.locator(f"[data-scale={scale}] button[aria-pressed=true]").all_inner_texts()


def download(page: Page, review: Path) -> dict[str, Any]:
    """Press the button, and put the file into the review's folder under the name that it came with."""
    with page.expect_download() as got:
        page.get_by_role("button", name="Download ratings").click()
    name = got.value.suggested_filename
    got.value.save_as(review / name)
    return json.loads((review / name).read_text("utf-8"))


def test_what_an_expert_rates_in_the_page_is_what_good_samples_counts(page: Page, review: Path) -> None:
    begin(page, review, "Ann B.")
    current, marks = shown(page), dict[str, tuple[int, int]]()
    for realism, consistency in ((8, 10), (10, 8), (7, 9)):
        page.keyboard.press("x" if realism == 10 else str(realism))
        page.keyboard.press("Shift+X" if consistency == 10 else f"Shift+{consistency}")
        marks[current()] = realism, consistency
        page.keyboard.press("Enter")
    assert len(marks) == 3
    expect(page.locator("#where")).to_have_text("Picture 4 of 4, 3 rated")
    page.reload()  # the page was closed, and opened again another day
    expect(page.locator("#expert")).to_be_focused()
    page.keyboard.type("Ann B.")
    expect(page.locator("#before")).to_have_text("3 of 4 rated under this name")
    page.get_by_role("button", name="Go on").click()
    assert current() not in marks
    page.get_by_role("button", name="realism 9 of 10").click()
    expect(page.locator("#hint")).to_have_text("Still to rate here: semantic consistency.")
    page.get_by_role("button", name="semantic consistency 9 of 10").click()
    page.get_by_label("Remark").fill('edge "too" <sharp>')
    page.keyboard.press("Enter")
    marks[current()] = 9, 9
    expect(page.locator("#hint")).to_have_text("All rated, thank you. Download your ratings and send them back.")
    record = download(page, review)
    expect(page.locator("#hint")).to_have_text("ratings-Ann_B_.json holds all your ratings. Send it back.")
    assert {key: (one["realism"], one["consistency"]) for key, one in record["ratings"].items()} == marks
    assert record["ratings"][current()]["note"] == 'edge "too" <sharp>'
    (rate,) = count_ratings(review)
    assert (rate.experts, rate.rated, rate.good) == (1, 4, 0.75)


def test_enter_after_a_click_goes_on_once_and_rates_nothing_on_the_next_picture(page: Page, review: Path) -> None:
    begin(page, review, "bo")
    page.get_by_role("button", name="realism 3 of 10").click()
    page.keyboard.press("Enter")
    expect(page.locator("#where")).to_have_text("Picture 2 of 4, 0 rated")
    assert pressed(page, "realism") == []
    page.get_by_role("button", name="Next").click()
    page.keyboard.press("Enter")
    expect(page.locator("#where")).to_have_text("Picture 4 of 4, 0 rated")
    page.get_by_role("button", name="realism 4 of 10").focus()
    page.keyboard.press("Enter")  # without a mouse it is the button's own key
    assert pressed(page, "realism") == ["4"]
    expect(page.locator("#where")).to_have_text("Picture 4 of 4, 0 rated")


def test_pictures_that_were_passed_over_are_told_and_found(page: Page, review: Path) -> None:
    begin(page, review, "cy")
    current = shown(page)
    first = current()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("5")
    for _ in range(2):
        page.keyboard.press("ArrowRight")
        page.locator("body").dispatch_event("keydown", {"code": "Numpad6", "key": "6"})
        page.keyboard.press("Shift+6")
    expect(page.locator("#hint")).to_have_text("2 pictures left to rate.")
    record = download(page, review)
    expect(page.locator("#hint")).to_have_text(
        "ratings-cy.json holds 2 of 4 pictures; those without both ratings are left out."
    )
    assert len(record["ratings"]) == 2
    page.get_by_role("button", name="Go to the next unrated one").click()
    assert current() == first


def test_a_browser_that_keeps_nothing_says_so_for_as_long_as_it_matters(page: Page, review: Path) -> None:
    page.add_init_script("Storage.prototype.setItem = () => { throw new Error('no room') }")
    begin(page, review, "di")
    page.keyboard.press("5")
    page.keyboard.press("Shift+5")
    page.keyboard.press("Enter")
    expect(page.locator("#hint")).to_contain_text("This browser keeps nothing")
    assert len(download(page, review)["ratings"]) == 1


@pytest.mark.parametrize("width", [1280, 320])
def test_a_place_that_is_clicked_is_enlarged_and_the_page_stays_in_its_screen(page: Page, review: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 700})
    begin(page, review, "ed")
    frame, image = page.locator("#frame"), page.locator("#image")
    image.evaluate("image => image.decode()")  # a picture that is not there yet has no place to enlarge
    box = image.bounding_box()
    assert box is not None
    image.click(position={"x": box["width"] * 0.7, "y": box["height"] * 0.6})
    wide = image.bounding_box()
    around = frame.bounding_box()
    assert wide is not None
    assert around is not None
    assert wide["width"] == pytest.approx(2.5 * box["width"], rel=0.02)
    assert (around["x"] + around["width"] / 2 - wide["x"]) / wide["width"] == pytest.approx(0.7, abs=0.02)
    assert (around["y"] + around["height"] / 2 - wide["y"]) / wide["height"] == pytest.approx(0.6, abs=0.02)
    page.keyboard.press("z")
    page.keyboard.press("z")
    page.keyboard.press("ArrowRight")  # moves the enlarged picture
    expect(page.locator("#where")).to_have_text("Picture 1 of 4, 0 rated")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert_no_serious_fault(page, f"{width} px wide")
    page.keyboard.press("Enter")
    expect(page.locator("#where")).to_have_text("Picture 2 of 4, 0 rated")
    expect(frame).not_to_have_class("frame big")
