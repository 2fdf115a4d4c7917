"""A headless Chromium for the tests of pages: they are skipped if it or Playwright is missing, but fail in CI."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
_PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


def unavailable(reason: str) -> NoReturn:
    """Skip the tests, or fail in CI, which has everything that the tests of pages need."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextlib.contextmanager
def launched() -> Iterator["Browser"]:
    """Yield a running Chromium."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        unavailable("Playwright is not installed: pip install -r requirements-test.txt")
    if _PROGRAM is None:
        unavailable("no Chromium found: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_PROGRAM, args=[*_FLAGS, "--no-first-run"])
        yield browser
        browser.close()
