"""Pages about runs: each is one HTML file that opens from disk and needs no network.

`write_report` shows one run, `write_comparison` compares runs image by image, `write_blend` shows a blend of runs,
`write_index` lists all runs, rehearsals, studies and submissions.
"""

from digit_recognizer.report.blend_page import write_blend
from digit_recognizer.report.comparison_page import write_comparison
from digit_recognizer.report.index_page import IndexRow, write_index
from digit_recognizer.report.run_page import write_report

__all__ = ["IndexRow", "write_blend", "write_comparison", "write_index", "write_report"]
