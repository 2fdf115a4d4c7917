"""The page of all runs, rehearsals, studies and submissions, in the browser."""

import json
import re

import pytest
from chromium import DESKTOP, PHONE, launched
from synthetic_run import make_dataset, make_run

from digit_recognizer.cli.index import update_index
from digit_recognizer.rehearsal.results import PartResult, record_result
from digit_recognizer.report import IndexRow, write_index
from digit_recognizer.submission import ledger
from digit_recognizer.workspace import Workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Two runs, one with its report, a rehearsal and two submissions."""
    workspace, dataset = Workspace(tmp_path_factory.mktemp("space")), make_dataset(200)
    run = make_run(workspace.run("fast"), dataset, accuracy=0.9)
    run.report.write_text("a report")
    make_run(workspace.run("long run"), dataset, accuracy=0.98, epochs=30)
    for part, right in ((0, 990), (1, 994)):
        record_result(workspace, PartResult("fast", "0123", part, right, 1000, 0.985, 60.0, "abc"))
    for name, score in (("fast", "0.99521"), ("fast+wide", "0.9966")):
        entry = ledger.Entry(
            file=f"{name}.csv", sha256=name, status="complete", runs=name, public_score=score, message="<b>first</b>"
        )
        ledger.append(workspace, entry)
    return workspace


@pytest.fixture(scope="module")
def path(workspace):
    return update_index(workspace)


@pytest.fixture
def page(path):
    with launched() as browser:
        page, complaints = browser.new_page(viewport=DESKTOP), []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path.as_uri())
        yield page
        assert not complaints


def names(page) -> list[str]:
    return page.eval_on_selector_all("#runs tbody th", "cells => cells.map(cell => cell.textContent)")


def test_page_lists_runs_rehearsals_and_submissions(path):
    kind_and_name = r">(run|rehearsal|submission|study)</td><th[^>]*>(?:<a[^>]*>)?([^<]*)<"
    rows = re.findall(kind_and_name, path.read_text("utf-8"))
    assert sorted(rows) == [
        ("rehearsal", "fast"),
        ("run", "fast"),
        ("run", "long run"),
        ("submission", "fast+wide.csv"),
        ("submission", "fast.csv"),
    ]


def test_runs_link_to_their_report_where_there_is_one(path):
    assert re.findall(r'<a href="([^#"]*)"', path.read_text("utf-8")) == ["fast/report.html"]


def test_rehearsal_adds_its_parts_and_submission_shows_kaggles_score(path):
    text = path.read_text("utf-8")
    assert "0.99200" in text
    assert "2 of 6 parts" in text
    assert "0.99521" in text
    assert "&lt;b&gt;first" in text


def test_columns_are_sorted_by_number_with_empty_cells_last(page):
    page.click("#runs thead button:text('Kaggle')")
    assert names(page)[:3] == ["fast", "fast.csv", "fast+wide.csv"]  # the best score of a run, then by score
    assert page.get_attribute("#runs th:has(button:text('Kaggle'))", "aria-sort") == "ascending"
    page.click("#runs thead button:text('Kaggle')")
    assert names(page)[0] == "fast+wide.csv"
    page.click("#runs thead button:text('OOF')")
    assert names(page)[0] == "fast"


def test_two_ticked_runs_show_the_settings_that_differ(page):
    for box in page.query_selector_all("#runs [type=checkbox]"):
        box.check()
    rows = page.eval_on_selector_all("#difference tbody tr", "rows => rows.map(row => row.innerText.split('\\t'))")
    assert {row[0]: set(row[1:]) for row in rows} == {"pipeline": {"fast", "long run"}, "epochs": {"12", "30"}}
    page.uncheck("#runs [type=checkbox] >> nth=0")
    assert not page.is_visible("#difference")


def test_page_fits_a_phone_and_its_table_scrolls(page):
    page.set_viewport_size(PHONE)
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.locator(".wide #runs").count() == 1
    assert re.fullmatch(r"\d+ min", page.eval_on_selector("time", "item => item.textContent"))


def test_names_from_outside_are_escaped(tmp_path):
    name = "<img src=x onerror=alert(1)>"
    row = IndexRow(kind="submission", name=name, note=name, device=name)
    text = write_index(Workspace(tmp_path), [], {}, [row]).read_text("utf-8")
    assert "<img" not in text
    assert text.count("&lt;img src=x") == 3


def test_unreadable_run_is_listed_with_the_reason(tmp_path):
    workspace = Workspace(tmp_path)
    make_run(workspace.run("broken"), make_dataset(100))
    workspace.run("broken").joinpath("experiment.json").write_text("{")
    (tmp_path / "submissions").mkdir()
    ledger.path_of(workspace).write_text("nothing")
    text = update_index(workspace).read_text("utf-8")
    assert "broken" in text
    assert "experiment.json" in text


def test_empty_index_names_the_first_command(tmp_path):
    path = update_index(Workspace(tmp_path))
    text = path.read_text("utf-8")
    assert "make train" in text
    assert json.loads(re.search(r'id="settings-data">(.*?)</script>', text)[1]) == {}
