"""Pages about runs: each is one HTML file that opens from disk and needs no network.

`write_report` shows one run, `write_comparison` compares runs image by image, `write_blend` shows a blend of runs.
"""

from digit_recognizer.report.blend_page import write_blend
from digit_recognizer.report.comparison_page import write_comparison
from digit_recognizer.report.run_page import write_report

__all__ = ["write_blend", "write_comparison", "write_report"]
