"""How fast controlled languages are generated: MB per second on one core, in one run.

    python benchmarks/controlled.py

Exits with 1 if one is slower than 20 MB/s.
"""

from __future__ import annotations

import sys
import time

from raydt.corpora.controlled.catalog import LANGUAGES, generate
from raydt.corpora.controlled.scripts import SCRIPTS

NUM_BYTES = 10_000_000
ROUNDS = 3  # the best counts: the others were disturbed by other load
REQUIRED_MB_PER_SECOND = 20.0


def measure(language: str) -> float:
    """Megabytes (10^6) per second, including the construction of the language."""
    best_seconds = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        generate(language, "train", NUM_BYTES, 0)
        best_seconds = min(best_seconds, time.process_time() - start)
    return NUM_BYTES / 1e6 / best_seconds


def main() -> int:
    scripts = [f"alba-{script}" for script in SCRIPTS if script != "latin"]
    names = [*LANGUAGES, "w0.5-s0.5", *scripts]
    speeds = {name: measure(name) for name in names}
    for name, speed in speeds.items():
        print(f"{name:<16}{speed:7.1f} MB/s")
    slowest = min(speeds, key=speeds.__getitem__)
    print(f"slowest: {slowest}, {speeds[slowest] / REQUIRED_MB_PER_SECOND:.1f} x the requirement")
    return int(speeds[slowest] < REQUIRED_MB_PER_SECOND)


if __name__ == "__main__":
    sys.exit(main())
