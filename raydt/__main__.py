"""`python -m raydt`, where the script is not on the path."""

import sys

from raydt.cli import main

sys.exit(main())
