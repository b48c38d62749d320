"""Says what the process of a trial and those of a worker group find in their environment, as a
driver that has set none of raydt's variables: prints one JSON object.

python tests/cluster/probe_worker.py HOST:PORT FOLDER NAME ...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import ray


def trial(folder: Path, names: list[str], num_workers: int) -> None:
    """A trial as Tune runs one, up to the point where it would train; each process that reaches it
    leaves a file."""
    from raydt.orchestration.run import trial as module
    from raydt.orchestration.run.setup import process_of_task
    from raydt.orchestration.run.task import CellTask, Processes, received, sent
    from tests.orchestration.tasks import cell_task

    def reached(config: dict) -> None:
        import os

        with process_of_task(received(config, CellTask).processes) as device:
            found = {name: os.environ.get(name) for name in names}
            found["device"] = str(device)
        (folder / f"{num_workers}.json").write_text(json.dumps(found))

    module.run_cell = reached
    task = cell_task("x", sweep=str(folder), processes=Processes(num_workers=num_workers))
    module.run_trial(sent(task))


def main(address: str, folder: Path, names: list[str]) -> None:
    ray.init(address=address, log_to_driver=False)
    run = ray.remote(num_cpus=0)(trial)
    for num_workers in (0, 1):
        ray.get(run.remote(folder, names, num_workers))
    print(json.dumps({p.stem: json.loads(p.read_text()) for p in folder.glob("*.json")}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
