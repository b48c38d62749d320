"""Find hyperparameters for `sweeps/grid.py --hparams`: `python sweeps/hparams.py --help`."""

import sys

from raydt.cli import script_main

if __name__ == "__main__":
    sys.exit(script_main("sweeps/hparams.py"))
