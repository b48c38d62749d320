"""Find hyperparameters for `sweeps/grid.py --hparams`: `python sweeps/hparams.py --help`."""

import sys

from raydt.commands.hparams import hparams_main

if __name__ == "__main__":
    sys.exit(hparams_main())
