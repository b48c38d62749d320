"""A driver in small, for tests of leases: a process that holds a sweep and decides its cells.

It reads a word a line and answers each in a line:

    take FOLDER     held | refused
    release         released
    decide NUMBER   decides so many cells, whose attempts have ended: decided | lost
    leave           ends
"""

from __future__ import annotations

import sys

from raydt.errors import RunError
from raydt.grid import lease as module
from raydt.grid.fence import fence
from raydt.grid.lease import LaunchLease, LeaseLostError
from raydt.grid.result import Result
from raydt.orchestration.grid.commit import Committer
from raydt.storage.opening import open_folder
from raydt.tracking.schema import Status


def main() -> None:
    module._DEAD_AFTER_SECONDS, module._HEARTBEAT_SECONDS = float(sys.argv[1]), float(sys.argv[2])
    # As of a machine of its own: a process id tells nothing.
    module._this_machine = lambda: sys.argv[3]
    lease: LaunchLease | None = None
    folder = None
    for line in sys.stdin:
        word, _, said = line.strip().partition(" ")
        if word == "take":
            folder = open_folder(said)
            try:
                lease = LaunchLease(folder, lambda: None).__enter__()
            except RunError:
                print("refused", flush=True)
                continue
            if lease.was_cut_off:
                names = (folder / "cells").names()
                fence([folder / "cells" / name for name in names], lease.launch_id, folder)
                lease.has_fenced()
            print("held", flush=True)
        elif word == "release":
            assert lease is not None
            lease.__exit__(None, None, None)
            print("released", flush=True)
        elif word == "decide":
            assert lease is not None
            assert folder is not None
            print("deciding", flush=True)
            committer = Committer(folder, lease.launch_id)
            try:
                for number in range(int(said)):
                    cell = folder / "cells" / f"c{number:03d}"
                    # Every other one failed without an outcome.
                    if committer.commit(cell, "f") is None:
                        committer.decide(cell, failed(f"c{number:03d}"))
            except LeaseLostError:
                print("lost", flush=True)
            else:
                print("decided", flush=True)
        else:
            return


def failed(cell_id: str) -> Result:
    return Result(
        cell_id=cell_id,
        fingerprint="f",
        attempt="0-none",
        model="nano",
        time=0.0,
        status=Status.FAILED,
        bytes_seen=0,
        training_seconds=0.0,
    )


if __name__ == "__main__":
    main()
