"""Train a grid of sources x targets x sizes x seeds: `python sweeps/grid.py --help`."""

import sys

from raydt.cli import grid_main

if __name__ == "__main__":
    sys.exit(grid_main())
