"""`python -m digit_recognizer` runs the same command line as `digit-recognizer`."""

import sys

from digit_recognizer.cli import main

if __name__ == "__main__":
    sys.exit(main())
