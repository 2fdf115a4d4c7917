"""The commands of `digit-recognizer`: the only package that formats for a terminal."""

from digit_recognizer.cli.commands import main

__all__ = ["main"]
