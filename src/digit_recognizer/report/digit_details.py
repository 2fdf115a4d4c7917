"""The content of the panel for one digit: probabilities, each model's prediction, and an explanation of the prediction."""

import base64
from typing import Any

import numpy as np

from digit_recognizer.data.dataset import Dataset
from digit_recognizer.report.digit_sheet import DigitSheet
from digit_recognizer.report.explanation import Explanation
from digit_recognizer.report.model_predictions import ModelPredictions


def digit_details(
    dataset: Dataset,
    sheet: DigitSheet,
    train: ModelPredictions | None,
    test: ModelPredictions | None,
    fold: np.ndarray | None = None,
    explanations: dict[tuple[bool, int], Explanation] | None = None,
) -> dict[str, Any]:
    """Return the details of all digits of the sheet as JSON for script.js: lists in the order of the sheet.

    Probabilities are in thousandths, rounded down. Call it last: it adds the neighbours to the sheet.

    Args:
        train: of the training images; None if the page has no predictions for them.
        test: of the test images.
        fold: of each training image, int (n,).
        explanations: by (is a test image, row).
    """
    reasons = {_place(sheet, *key): _reason(sheet, found) for key, found in (explanations or {}).items()}
    digits = sheet.digits()
    predictions = {False: train, True: test}
    return {
        "classes": dataset.classes,
        "columns": sheet.columns,
        "models": [_models(one) for one in predictions.values()],
        "test": [int(is_test) for is_test, _ in digits],
        "row": [row for _, row in digits],
        "label": [None if is_test else int(dataset.labels[row]) for is_test, row in digits],
        "fold": [None if is_test or fold is None else int(fold[row]) for is_test, row in digits],
        "prediction": [_prediction(predictions[is_test], row) for is_test, row in digits],
        "probabilities": [_probabilities(predictions[is_test], row) for is_test, row in digits],
        "votes": [_votes(predictions[is_test], row) for is_test, row in digits],
        "reasons": reasons,
    }


def _place(sheet: DigitSheet, is_test: bool, row: int) -> int:
    return sheet.test(row) if is_test else sheet.train(row)


def _models(predictions: ModelPredictions | None) -> dict[str, Any] | None:
    return predictions and {"kind": predictions.kind, "names": predictions.names, "combination": predictions.combination}


def _prediction(predictions: ModelPredictions | None, row: int) -> int | None:
    if predictions is None or np.isnan(predictions.probabilities[row]).any():
        return None
    return int(predictions.probabilities[row].argmax())


def _probabilities(predictions: ModelPredictions | None, row: int) -> list[int] | None:
    if predictions is None or np.isnan(predictions.probabilities[row]).any():
        return None
    return np.floor(1000 * predictions.probabilities[row]).astype(int).tolist()


def _votes(predictions: ModelPredictions | None, row: int) -> list[tuple[int, int] | None]:
    """Return for each model its class and that class's probability."""
    if predictions is None:
        return []
    each = predictions.each[:, row]
    return [None if np.isnan(one).any() else (int(one.argmax()), int(1000 * one.max())) for one in each]


def _reason(sheet: DigitSheet, found: Explanation) -> dict[str, Any]:
    strongest = float(np.abs(found.occlusion).max())
    scaled = np.round(127 * found.occlusion / (strongest or 1.0)).astype(np.int8)
    return {
        "model": found.model,
        "searched": found.searched,
        "classes": found.classes,
        "neighbours": [
            (sheet.train(row), round(float(similarity), 3))
            for row, similarity in zip(found.neighbours, found.similarities, strict=True)
        ],
        "occlusion": base64.b64encode(scaled.tobytes()).decode(),
        "strongest": round(strongest, 2),
    }
