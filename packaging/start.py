"""Where the bundle made by edgeemo.spec begins."""

import multiprocessing
import sys

from edgeemo.cli import main

if __name__ == "__main__":
    multiprocessing.freeze_support()
    sys.exit(main())
