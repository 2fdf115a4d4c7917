"""The commands of `digit-recognizer`: the only package that formats for a terminal."""

from digit_recognizer.cli.entry_point import main

__all__ = ["main"]
