"""Reading which training rows to leave out from a table of checked labels."""

from pathlib import Path

import pandas as pd

from digit_recognizer.errors import UserError

WRONG = "wrong"  # the mark of a row to leave out
MARKS = (WRONG, "fine", "unclear")


def read_dropped_rows(path: Path) -> tuple[int, ...]:
    """Return the rows of a CSV file with a column `row`: those marked `wrong` if there is a column `mark`, else all.

    A run's labels.csv has this form, and so has the file of marks that its report saves.

    Raises:
        UserError: the file is missing, has no column `row` of whole numbers, has other marks or marks in another column, or no
            row is marked.
    """
    if not path.is_file():
        raise UserError(f"drop_rows={path}: there is no such file; a report writes runs/<run>/labels.csv")
    try:
        table = pd.read_csv(path)
        if "mark" not in table and table.isin(MARKS).any(axis=None):
            raise ValueError("it has marks, but no column mark")
        if "mark" in table:
            if others := sorted(set(table["mark"].dropna()) - {*MARKS}, key=str):
                raise ValueError(f"the mark {others[0]!r} is none of {', '.join(MARKS)}")
            table = table[table["mark"] == WRONG]
        rows = table["row"].to_numpy()
        if len(rows) and rows.dtype.kind != "i":
            raise ValueError("the column row must hold whole numbers")
    except (KeyError, ValueError, OSError) as error:
        reason = "it has no column row" if isinstance(error, KeyError) else str(error)
        raise UserError(f"drop_rows={path} can't be read: {reason}") from error
    if not len(rows):
        raise UserError(f"drop_rows={path}: no row is marked {WRONG}")
    return tuple(sorted({int(row) for row in rows}))
