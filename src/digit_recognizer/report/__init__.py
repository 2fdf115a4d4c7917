"""Runs -> pages: one HTML file each that opens from disk, with everything inside it.

`write_report` shows one run, `write_comparison` two or more of them image by image, `write_blend` what blending them gave.
"""

from digit_recognizer.report.blend_page import write_blend
from digit_recognizer.report.comparison_page import write_comparison
from digit_recognizer.report.run_page import write_report

__all__ = ["write_blend", "write_comparison", "write_report"]
