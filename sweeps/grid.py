"""Train a grid of sources x targets x sizes x seeds: `python sweeps/grid.py --help`."""

import sys

from raydt.cli import script_main

if __name__ == "__main__":
    sys.exit(script_main("sweeps/grid.py"))
