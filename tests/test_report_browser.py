"""The report in a real browser, opened from disk."""

import pandas as pd
import pytest
from chromium import DESKTOP, PHONE, launched
from synthetic_run import make_dataset, make_run

from digit_recognizer.report import write_blend, write_comparison, write_report
from digit_recognizer.runs.run import read_run


@pytest.fixture(scope="module")
def browser():
    with launched() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def dataset():
    return make_dataset()


@pytest.fixture(scope="module")
def run(tmp_path_factory, dataset):
    directory = make_run(tmp_path_factory.mktemp("runs") / "smoke", dataset)
    write_report(directory, dataset)
    return directory


@pytest.fixture(params=["light", "dark"])
def scheme(request):
    return request.param


@pytest.fixture
def open_page(browser):
    """Open a file with no network; closing checks that the console stayed silent and nothing was fetched."""
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
    return [int(row) for row in page.eval_on_selector_all("#cell-digits .digit", "items => items.map(i => i.dataset.row)")]


def test_clicking_a_cell_shows_exactly_its_rows_in_errors_csv(run, open_page):
    page = open_page(run / "report.html")
    errors = pd.read_csv(run / "errors.csv")
    for (label, prediction), rows in errors.groupby(["label", "prediction"]):
        page.click(f'.matrix[data-fold="all"] [data-cell="{label},{prediction}"]')
        assert shown_rows(page) == rows["row"].tolist()
        assert page.inner_text("#cell-title").startswith(f"{label} → {prediction}: {len(rows)} image")


def test_choosing_a_fold_shows_its_matrix_and_its_rows(run, open_page):
    page = open_page(run / "report.html")
    errors = pd.read_csv(run / "errors.csv")
    page.check('[name="matrix"][value="2"]')
    assert page.locator(".matrix:visible").get_attribute("data-fold") == "2"
    for (label, prediction), rows in errors[errors["fold"] == 2].groupby(["label", "prediction"]):
        page.click(f'.matrix[data-fold="2"] [data-cell="{label},{prediction}"]')
        assert shown_rows(page) == rows["row"].tolist()


def test_a_cell_on_the_diagonal_shows_the_thirty_least_confident(run, dataset, open_page):
    page = open_page(run / "report.html")
    page.click('.matrix[data-fold="all"] [data-cell="4,4"]')
    oof = read_run(run, dataset)
    rows = shown_rows(page)
    assert len(rows) == 30
    assert all(oof.predictions[rows] == 4)
    assert sorted(oof.confidence[rows]) == list(oof.confidence[rows])
    assert "the least confident 30" in page.inner_text("#cell-title")


def test_a_digit_looks_as_it_does_in_the_data(run, dataset, open_page):
    page = open_page(run / "report.html")
    page.click('.matrix[data-fold="all"] [data-cell="7,7"]')
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


def test_cells_are_reached_and_opened_by_keyboard(run, open_page):
    page = open_page(run / "report.html")
    page.focus('[name="matrix"][value="all"]')
    page.keyboard.press("Tab")
    focused = "document.activeElement.dataset.cell"
    assert page.evaluate(focused) == "0,0"
    page.keyboard.press("Enter")
    assert page.inner_text("#cell-title").startswith("0 → 0")
    page.keyboard.press("ArrowDown")
    down = page.evaluate(focused)
    page.keyboard.press("ArrowUp")
    assert page.evaluate(focused) == "0,0"
    assert down.endswith(",0")
    assert down != "0,0"


def test_everything_that_can_be_clicked_is_reached_by_tab(run, open_page):
    page = open_page(run / "report.html")
    clickable = "a[href], .matrix:not([hidden]) button, summary, input:checked"
    expected = page.eval_on_selector_all(clickable, "items => items.length")
    reached = set()
    for _ in range(expected + 20):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(f"[...document.querySelectorAll('{clickable}')].indexOf(document.activeElement)"))
    assert set(range(expected)) <= reached


def test_every_control_has_a_name_and_every_picture_a_caption(run, open_page):
    page = open_page(run / "report.html")
    unnamed = (
        "items => items.filter(i => !(i.ariaLabel || i.textContent.trim() || i.closest('label')?.textContent.trim())).length"
    )
    assert page.eval_on_selector_all("button, a, summary, input", unnamed) == 0
    assert page.eval_on_selector_all("figure", "items => items.filter(i => !i.querySelector('figcaption')).length") == 0
    assert page.eval_on_selector_all(".digit", "items => items.filter(i => !i.textContent.trim()).length") == 0


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_page_fits_the_screen_and_is_readable_in_both_schemes(run, open_page, viewport, scheme):
    page = open_page(run / "report.html", viewport, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    lowest = page.evaluate(CONTRAST)
    assert lowest >= 4.5, f"contrast {lowest:.2f} of text to its background"


def test_many_classes_scroll_inside_the_page(open_page, tmp_path):
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
    page = open_page(run / "report.html")
    page.emulate_media(media="print")
    assert page.locator(".matrix:visible").count() == 6


def test_comparison_and_blend_open_without_a_complaint(run, dataset, open_page, tmp_path, scheme):
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
        assert page.locator(".digit").count() > 10
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert page.evaluate(CONTRAST) >= 4.5
