"""The commands of `digit-recognizer`: the only package that formats for a terminal."""

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; see `entry_point.main`."""
    try:
        from digit_recognizer.cli import entry_point  # inside, because Ctrl-C may come during the imports

        return entry_point.main(argv)
    except KeyboardInterrupt:
        print("digit-recognizer: stopped", file=sys.stderr)
        return 130
