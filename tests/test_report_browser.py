"""The report in a real browser, opened from disk."""

import re

import numpy as np
import pandas as pd
import pytest
from chromium import DESKTOP, PHONE, launched
from synthetic_run import make_dataset, make_run
from tiny_run import make_workspace, request, train_here

from digit_recognizer import metrics
from digit_recognizer.data.dataset import load_dataset
from digit_recognizer.report import explanation, write_blend, write_comparison, write_report
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.run import read_run


@pytest.fixture(scope="module")
def browser():
    with launched() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return make_workspace(tmp_path_factory.mktemp("workspace"), rows=400, test_rows=240)


@pytest.fixture(scope="module")
def dataset(workspace):
    return load_dataset(workspace)


@pytest.fixture(scope="module")
def run(workspace, dataset):
    """A run of tiny networks that were really trained, two seeds, with its report."""
    train_here(request(workspace, seeds=(0, 1), folds=2, epochs=5, learning_rate=0.02, early_stopping=None), workspace)
    folder = RunFolder.of(workspace, "tiny")
    write_report(folder, dataset)
    return folder


@pytest.fixture(params=["light", "dark"])
def scheme(request):
    return request.param


@pytest.fixture
def open_page(browser):
    """Open a file without a network; afterwards check that the console is empty and nothing was requested."""
    pages, complaints = [], []

    def opener(path, viewport=DESKTOP, scheme="light"):
        page = browser.new_page(viewport=viewport, color_scheme=scheme)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url) if request.url.startswith("http") else None)
        page.goto(path.as_uri())
        pages.append(page)
        return page

    yield opener
    for page in pages:
        page.close()
    assert not complaints


def shown_rows(page) -> list[int]:
    """Return the rows of the digits of the selected cell."""
    return page.eval_on_selector_all("#cell-digits .digit", "items => items.map(item => details.row[item.dataset.digit])")


def test_clicking_a_cell_shows_exactly_its_rows_in_errors_csv(run, open_page):
    page = open_page(run.report)
    errors = pd.read_csv(run.errors)
    for (label, prediction), rows in errors.groupby(["label", "prediction"]):
        page.click(f'.matrix:visible [data-cell="{label},{prediction}"]')
        assert shown_rows(page) == rows["row"].tolist()
        assert page.inner_text("#cell-title").startswith(f"{label} → {prediction}: {len(rows)} image")


def test_choosing_a_fold_shows_its_matrix_and_its_rows(run, open_page):
    page = open_page(run.report)
    errors = pd.read_csv(run.errors)
    page.check('[name="matrix"][value="fold 1"]')
    assert page.locator(".matrix:visible").get_attribute("data-matrix") == "fold 1"
    for (label, prediction), rows in errors[errors["fold"] == 1].groupby(["label", "prediction"]):
        page.click(f'.matrix:visible [data-cell="{label},{prediction}"]')
        assert shown_rows(page) == rows["row"].tolist()


def test_choosing_a_seed_shows_its_matrix_and_its_rows(run, dataset, open_page):
    page = open_page(run.report)
    page.check('[name="matrix"][value="seed 1"]')
    predictions = np.empty(len(dataset.labels), int)
    for result in read_run(run, dataset).members:
        if result.member.seed == 1:
            predictions[result.predictions.rows] = result.predictions.valid.argmax(axis=1)
    wrong = np.flatnonzero(predictions != dataset.labels)
    for label, prediction in {(dataset.labels[row], predictions[row]) for row in wrong}:
        page.click(f'.matrix:visible [data-cell="{label},{prediction}"]')
        rows = wrong[(dataset.labels[wrong] == label) & (predictions[wrong] == prediction)]
        assert sorted(shown_rows(page)) == rows.tolist()


def test_a_cell_on_the_diagonal_shows_the_thirty_least_confident(run, dataset, open_page):
    page, oof = open_page(run.report), read_run(run, dataset)
    correct = np.flatnonzero(oof.predictions == dataset.labels)
    label = np.bincount(dataset.labels[correct]).argmax()
    correct = correct[dataset.labels[correct] == label]
    assert len(correct) > 30
    page.click(f'.matrix:visible [data-cell="{label},{label}"]')
    assert shown_rows(page) == correct[np.argsort(oof.confidence[correct], kind="stable")[:30]].tolist()
    assert "the least confident 30" in page.inner_text("#cell-title")


def test_a_digit_looks_as_it_does_in_the_data(run, dataset, open_page):
    page = open_page(run.report)
    page.click('.matrix:visible [data-cell="7,7"]')
    pixels = page.evaluate(
        """async () => {
            const style = getComputedStyle(document.querySelector("#cell-digits i"));
            const sheet = new Image();
            sheet.src = style.backgroundImage.slice(5, -2);
            await sheet.decode();
            const canvas = new OffscreenCanvas(28, 28), context = canvas.getContext("2d");
            const [left, top] = style.backgroundPosition.split(" ").map((text) => parseFloat(text) / 2);
            context.drawImage(sheet, left, top);
            return [...context.getImageData(0, 0, 28, 28).data].filter((_, index) => index % 4 === 0);
        }"""
    )
    image = dataset.images[shown_rows(page)[0]].ravel()
    assert [level // 17 for level in pixels] == [level // 16 for level in image.tolist()]


def test_cells_are_reached_and_opened_by_keyboard(run, dataset, open_page):
    page, oof = open_page(run.report), read_run(run, dataset)
    page.focus('[name="matrix"][value="all folds"]')
    page.keyboard.press("Tab")
    focused = "document.activeElement.dataset.cell"
    assert page.evaluate(focused) == "0,0"
    page.keyboard.press("Enter")
    assert page.inner_text("#cell-title").startswith("0 → 0")
    counts = metrics.confusion_matrix(oof.labels, oof.predictions, 10)
    column = int((counts > 0).sum(axis=0).argmax())
    first, second = np.flatnonzero(counts[:, column])[:2]
    page.focus(f'.matrix:visible [data-cell="{first},{column}"]')
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == f"{second},{column}"
    page.keyboard.press("ArrowUp")
    assert page.evaluate(focused) == f"{first},{column}"


def test_everything_that_can_be_clicked_is_reached_by_tab_and_arrow_keys(run, open_page):
    page = open_page(run.report)
    stops = "items => items.filter(item => item.tabIndex >= 0 && item.checkVisibility()).length"
    clickable = "a[href], button, summary, select, input:checked"
    expected = page.eval_on_selector_all(clickable, stops)
    reached = set()
    for _ in range(expected + 20):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(f"[...document.querySelectorAll('{clickable}')].indexOf(document.activeElement)"))
    assert len(reached - {-1}) >= expected
    lists = (
        "lists => lists.every(list => !list.children.length || list.querySelectorAll('button[tabindex=\"0\"]').length === 1)"
    )
    assert page.eval_on_selector_all(".digits:visible", lists)
    page.focus("#worst .digit >> nth=0")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    second = page.get_attribute("#worst .digit >> nth=1", "data-digit")
    assert page.evaluate("document.activeElement.dataset.digit") == second


def test_every_control_has_a_name_and_every_picture_a_caption(run, open_page):
    page = open_page(run.report)
    unnamed = (
        "items => items.filter(i => !(i.ariaLabel || i.textContent.trim() || i.closest('label')?.textContent.trim())).length"
    )
    assert page.eval_on_selector_all("button, a, summary, input", unnamed) == 0
    assert page.eval_on_selector_all("figure", "items => items.filter(i => !i.querySelector('figcaption')).length") == 0
    assert page.eval_on_selector_all("button.digit", "items => items.filter(i => !i.textContent.trim()).length") == 0


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_page_fits_the_screen_and_is_readable_in_both_schemes(run, open_page, viewport, scheme):
    page = open_page(run.report, viewport, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    lowest = page.evaluate(CONTRAST)
    assert lowest >= 4.5, f"contrast {lowest:.2f} of text to its background"


def test_many_classes_scroll_inside_the_page(open_page, tmp_path, quick_reports):
    letters = make_dataset(800, [f"letter {number}" for number in range(40)], (16, 16, 3))
    page = open_page(write_report(make_run(tmp_path / "letters", letters), letters))
    assert page.evaluate("document.documentElement.scrollWidth") <= DESKTOP["width"]


# The lowest WCAG contrast of any text, colours blended by painting them one over another.
CONTRAST = """() => {
    const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const painted = (colours) => {
        context.clearRect(0, 0, 1, 1);
        for (const colour of colours) { context.fillStyle = colour; context.fillRect(0, 0, 1, 1); }
        return context.getImageData(0, 0, 1, 1).data;
    };
    const luminance = ([r, g, b]) => {
        const linear = [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    };
    let lowest = 21;
    for (const item of document.querySelectorAll("body *")) {
        if (![...item.childNodes].some((node) => node.nodeType === 3 && node.data.trim()) || !item.checkVisibility()) continue;
        if (item.closest("script, style")) continue;
        const behind = [];
        for (let at = item; at; at = at.parentElement) behind.unshift(getComputedStyle(at).backgroundColor);
        const style = getComputedStyle(item);
        const text = item.closest("svg") ? style.fill : style.color;
        const [one, other] = [luminance(painted(behind)), luminance(painted([...behind, text]))];
        lowest = Math.min(lowest, (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05));
    }
    return lowest;
}"""


def test_printing_shows_every_matrix(run, open_page):
    page = open_page(run.report)
    page.emulate_media(media="print")
    assert page.locator(".matrix:visible").count() == 1 + 2 + 2


def open_wrong_digit(page, dataset) -> int:
    """Open the first wrong digit of the selected cell and return its row."""
    page.click("#cell-digits .digit >> nth=0")
    return int(re.search(r"row (\d+)", page.inner_text("#panel-title"))[1])


def test_panel_shows_probabilities_and_the_prediction_of_each_seed(run, dataset, open_page):
    page, oof = open_page(run.report), read_run(run, dataset)
    row = open_wrong_digit(page, dataset)
    label, prediction = dataset.labels[row], oof.predictions[row]
    assert page.inner_text("#panel-title").startswith(f"{label} → {prediction}")
    shares = page.eval_on_selector_all("#panel-bars li", "items => items.map(i => parseFloat(i.children[2].textContent))")
    assert shares == pytest.approx(100 * oof.probabilities[row], abs=0.11)
    assert page.inner_text("#panel-bars .predicted").startswith(str(prediction))
    assert page.inner_text("#panel-bars .labelled").startswith(str(label))
    own = [result.predictions for result in oof.members if result.member.fold == oof.fold[row]]
    votes = [one.valid[one.rows == row][0].argmax() for one in own]
    assert page.inner_text("#panel-verdict").startswith(f"{sum(vote != label for vote in votes)} of 2 seeds are wrong")
    page.click("#panel-votes summary")
    assert re.findall(r"seed (\d): (\d)", page.inner_text("#panel-votes")) == [
        (str(i), str(vote)) for i, vote in enumerate(votes)
    ]


def test_neighbours_in_the_panel_are_the_nearest_of_the_rows_that_the_model_learned_from(run, dataset, open_page):
    page, oof = open_page(run.report), read_run(run, dataset)
    row = open_wrong_digit(page, dataset)
    judge = next(result for result in oof.members if result.member.fold == oof.fold[row])
    assert f"seed 0, fold {oof.fold[row]}" in page.inner_text("#panel-neighbours p")
    features = explanation.feature_model(explanation.load_model(judge.folder.model))
    learned = judge.predictions.trained_rows
    vectors = features.predict(dataset.images[np.append(learned, row)], verbose=0).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors[:-1] @ vectors[-1]
    nearest = learned[np.argsort(-cosines)[:5]]
    shown = page.eval_on_selector_all("#panel-neighbours .digit", "items => items.map(i => i.innerText)")
    assert [int(re.search(r"row (\d+)", text)[1]) for text in shown] == nearest.tolist()
    assert [int(re.search(r"label (\d)", text)[1]) for text in shown] == dataset.labels[nearest].tolist()
    assert row not in nearest


def test_panel_is_closed_and_browsed_by_keyboard(run, dataset, open_page):
    page = open_page(run.report)
    rows = shown_rows(page)
    page.focus("#cell-digits .digit >> nth=0")
    page.keyboard.press("Enter")
    title = "document.getElementById('panel-title').textContent"
    assert f"row {rows[0]}," in page.evaluate(title)
    if len(rows) > 1:
        page.keyboard.press("ArrowRight")
        assert f"row {rows[1]}," in page.evaluate(title)
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("Escape")
    assert not page.is_visible("#panel")
    assert page.evaluate("document.activeElement.dataset.digit") is not None


def test_every_explained_digit_has_an_occlusion_map_and_others_have_none(run, dataset, open_page):
    page, oof = open_page(run.report), read_run(run, dataset)
    explained = page.evaluate("Object.keys(details.reasons).map(place => [details.test[place], details.row[place]])")
    assert {row for is_test, row in explained if not is_test} >= set(oof.wrong.tolist())
    assert sum(is_test for is_test, _ in explained) == 200
    open_wrong_digit(page, dataset)
    painted = "[...document.getElementById('panel-occlusion').getContext('2d').getImageData(0, 0, 14, 14).data].some(Boolean)"
    assert page.evaluate(painted)
    page.keyboard.press("Escape")
    page.evaluate("openPanel([...details.row.keys()].find(place => !details.reasons[place]), [])")
    assert not page.is_visible("#panel-occlusion")
    assert not page.is_visible("#panel-neighbours")


def test_map_has_filters_and_tooltips_and_opens_the_panel(run, dataset, open_page):
    page, oof = open_page(run.report), read_run(run, dataset)
    names = "items => items.map(item => item.textContent)"
    page.check("#map-wrong")
    assert page.locator("#map-list option").count() == len(oof.wrong)
    page.select_option("#map-fold", "1")
    wrong = [row for row in oof.wrong if oof.fold[row] == 1]
    assert [int(re.search(r"row (\d+)", name)[1]) for name in page.eval_on_selector_all("#map-list option", names)] == wrong
    page.click("#map-none")
    assert page.locator("#map-list option").count() == 0
    label = str(dataset.labels[wrong[0]])
    page.check(f'[name="map-class"][value="{label}"]')
    assert all(name.startswith(f"{label} →") for name in page.eval_on_selector_all("#map-list option", names))
    page.locator("#map-list").scroll_into_view_if_needed()
    place = page.evaluate("Number(document.getElementById('map-list').options[0].value)")
    spot = page.evaluate(
        """place => {
            const canvas = document.getElementById("map-canvas"), index = map.digits.indexOf(place);
            return [map.x, map.y].map((axis, i) =>
                12 + axis[index] / 1000 * ([canvas.clientWidth, canvas.clientHeight][i] - 24));
        }""",
        place,
    )
    position = {"x": spot[0], "y": spot[1]}
    page.hover("#map-canvas", position=position)
    hovered = page.inner_text("#map-tip")
    assert f"row {wrong[0]}," in hovered
    page.click("#map-canvas", position=position)
    assert f"row {wrong[0]}," in page.inner_text("#panel-title")


def test_map_is_used_by_keyboard(run, dataset, open_page):
    page, oof = open_page(run.report), read_run(run, dataset)
    page.focus("#map-list")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    chosen = page.evaluate("details.row[document.getElementById('map-list').value]")
    assert chosen in oof.wrong
    assert f"row {chosen}," in page.inner_text("#map-tip")
    page.keyboard.press("Enter")
    assert f"row {chosen}," in page.inner_text("#panel-title")


def test_marked_labels_are_kept_and_saved(run, dataset, open_page):
    page, table = open_page(run.report), pd.read_csv(run.labels)
    cards = page.locator("#labels-to-check li")
    assert cards.count() == min(len(table), 100) > 1
    cards.nth(0).get_by_text("wrong").click()
    cards.nth(1).get_by_text("fine").click()
    cards.nth(1).get_by_text("can't tell").click()
    page.reload()
    assert page.inner_text("#marks-count") == f"2 of {len(table)} marked"
    with page.expect_download() as download:
        page.click("#marks-save")
    assert download.value.suggested_filename == "tiny_labels.csv"
    saved = pd.read_csv(download.value.path(), keep_default_na=False)
    assert saved["mark"].tolist() == ["wrong", "unclear"] + [""] * (len(table) - 2)
    pd.testing.assert_frame_equal(saved.drop(columns="mark"), table)


def test_foreign_names_of_classes_are_shown_as_text(open_page, tmp_path, quick_reports):
    names = ["<img src=x onerror=alert(1)>", "</script><script>alert(2)</script>", "&amp;'\""]
    dataset = make_dataset(300, names)
    page = open_page(write_report(make_run(tmp_path / "names", dataset, accuracy=0.8), dataset))
    page.click("#cell-digits .digit >> nth=0")
    assert any(page.inner_text("#panel-title").startswith(name) for name in names)
    assert page.inner_text("#panel-bars li >> nth=0").startswith(names[0])
    assert page.locator("main img").count() == 0


def test_network_table_shows_the_parameters_of_each_layer(run, open_page):
    page = open_page(run.report)
    page.click("summary:text('Network')")
    table = page.inner_text("#settings pre")
    assert "Param #" in table
    assert "12,560" in table  # the dense layer's, 784 x 16 + 16


def test_wide_tables_show_that_they_scroll_on_a_phone(run, open_page):
    page = open_page(run.report, PHONE)
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    page.wait_for_timeout(100)
    wide = page.eval_on_selector_all(
        ".scroll",
        "items => items.filter(i => i.scrollWidth > i.clientWidth + 1).map(i => getComputedStyle(i, '::after').content)",
    )
    assert wide
    assert all("scroll" in content for content in wide)


def test_comparison_and_blend_open_without_errors(run, dataset, open_page, tmp_path, scheme):
    other = make_run(tmp_path / "a_run_with_quite_a_long_name", dataset, seeds=(1, 2))
    first, second = (read_run(directory, dataset) for directory in (run, other))
    pages = [
        write_comparison([run, other], dataset, tmp_path / "comparison.html"),
        write_blend(
            [run, other],
            dataset,
            tmp_path / "blend.html",
            weights={first.name: 0.5, second.name: 0.5},
            oof=(first.probabilities + second.probabilities) / 2,
            test=(first.test + second.test) / 2,
        ),
    ]
    for path in pages:
        page = open_page(path, PHONE, scheme)
        assert page.locator("button.digit").count() > 5
        page.click("button.digit >> visible=true >> nth=0")
        assert page.is_visible("#panel-verdict")
        assert page.evaluate(CONTRAST) >= 4.5
        page.keyboard.press("Escape")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert page.evaluate(CONTRAST) >= 4.5
