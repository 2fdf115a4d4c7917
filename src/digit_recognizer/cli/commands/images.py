"""Commands that apply a run's models to the user's own digits: predict, draw."""

from pathlib import Path
from typing import TYPE_CHECKING

from digit_recognizer.cli import selection
from digit_recognizer.cli.console import Table, make_console, shown, spinner
from digit_recognizer.cli.parser import Command, Parser, add_run_selection, add_server
from digit_recognizer.cli.serving import serve
from digit_recognizer.errors import UserError
from digit_recognizer.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd


def predict(
    workspace: Workspace,
    images: str | None = None,
    as_is: bool = False,
    pipeline: str | None = None,
    run: str | None = None,
) -> None:
    """Recognise the digits in image files."""
    from digit_recognizer.data import digit_images, image_files
    from digit_recognizer.runs.evaluation import model_probabilities
    from digit_recognizer.runs.records import read_run_record

    if not images:
        raise UserError("name an image, several, a folder, or a CSV like test.csv: `make predict IMAGES=path`")
    console, folder = make_console(), selection.select_run(pipeline, run, workspace)
    data = read_run_record(folder).dataset
    prepare = digit_images.are_digits(data.classes, data.image_shape) and not as_is
    found = digit_images.read_images(image_files.expand_paths(images), data.image_shape, prepare)
    for problem in found.problems:
        console.print(f"warning: {problem}")
    with spinner(console, "predicting"):
        probabilities = model_probabilities(folder, found.images).mean(axis=0)
    predictions = digit_images.prediction_table(found.names, found.images, probabilities, data.classes, found.shapes)
    console.print(predictions_table(predictions))
    console.print(f"image files were {'cut out, scaled and centred as in MNIST' if prepare else 'only scaled'}")
    try:
        digit_images.write_predictions(folder.predictions, predictions)
    except OSError as error:
        raise UserError(f"the table above is not saved: {shown(folder.predictions)}: {error.strerror}") from error
    console.print(f"all probabilities: {shown(folder.predictions)}")


def draw(
    workspace: Workspace,
    pipeline: str | None = None,
    run: str | None = None,
    host: str | None = None,
    port: int | None = None,
) -> None:
    """Draw digits in the browser and see the probabilities that a run gives them."""
    import tempfile
    import webbrowser
    from functools import partial

    from digit_recognizer import drawing
    from digit_recognizer.runs.evaluation import keras_session, load_models
    from digit_recognizer.runs.records import read_run_metrics, read_run_record

    folder = selection.select_run(pipeline, run, workspace)
    drawing.check_data(read_run_record(folder).dataset)
    console, accuracy = make_console(), read_run_metrics(folder).accuracy

    def on_address(address: str) -> None:
        console.print(f"open {address} in a browser; Ctrl-C ends it (any web server can serve {shown(page.parent)})")
        webbrowser.open(address)

    with tempfile.TemporaryDirectory() as temporary:
        with spinner(console, "preparing the page"), keras_session():
            models = load_models(folder)
            try:
                page = drawing.export(models, folder.drawing, folder.name, accuracy)
            except OSError as error:
                console.print(f"warning: {shown(folder.drawing)} can't be written ({error.strerror}): the page is temporary")
                page = drawing.export(models, Path(temporary), folder.name, accuracy)
        serve(partial(drawing.make_server, page.parent), host, port, 8000, on_address)


def predictions_table(predictions: "pd.DataFrame") -> Table:
    """Return the result of `digit_images.prediction_table` without the probability of each class."""
    columns = ("file", "digit", ">probability", "runner-up", "")
    rows = (
        (row.file, row.digit, f"{row.probability:.4f}" if row.digit else "", row.runner_up, row.flag)
        for row in predictions[["file", "digit", "probability", "runner_up", "flag"]].itertuples()
    )
    return Table("", columns, rows, dropped=("runner-up", "probability"))


def _add_predict_options(parser: Parser) -> None:
    parser.add_argument("--images", metavar="PATHS", help="an image, several, a folder, or a CSV like test.csv")
    parser.add_argument(
        "--as-is", action="store_true", help="only scale images to the network's size, don't centre them as MNIST's are"
    )
    add_run_selection(parser)


def _add_draw_options(parser: Parser) -> None:
    add_run_selection(parser)
    add_server(parser)


COMMANDS = (Command(predict, _add_predict_options), Command(draw, _add_draw_options))
