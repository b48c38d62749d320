"""The steps of `cluster/Dockerfile` in a clean Debian, without Docker, then the smoke sweep in it
as the user of the image. As root, where mmdebstrap, Debian's packages and PyPI are to be had:

python tests/cluster/build_image.py FOLDER [KIND=cuda]

It takes minutes, and so is no test of `make test-all`; docs/places/image.md has how long.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
# What Docker gives a container, and how this machine reaches PyPI.
PIP = ("/etc/pip.conf", "/root/.config/pip/pip.conf")
FROM_HERE = ("/etc/resolv.conf", *PIP)
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
OF_PIP = "certificates-of-pip.crt"  # the packages of the image bring Debian's own
FOLDERS = ("/proc", "/sys", "/dev", "/dev/shm", *sorted(map(str, Path("/opt").glob("*"))))
SMOKE = "python /opt/raydt/sweeps/grid.py --sweep /opt/raydt/sweeps/smoke.toml --slots 2"


def main(folder: Path, *arguments: str) -> None:
    given = dict(argument.split("=", 1) for argument in arguments)
    lines = (ROOT / "cluster" / "Dockerfile").read_text().splitlines()
    steps = [line.partition(" ")[::2] for line in lines if re.match("[A-Z]+ ", line)]
    environment, user, place = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, "root", "/"
    began = time.monotonic()
    for step, words in steps:
        print(f"{time.monotonic() - began:6.0f} s  {step} {words[:90]}", flush=True)
        if step == "FROM":
            image, _, kind = words.partition(":")
            assert image == "debian", f"expected a Debian, got {words}"
            release = kind.removesuffix("-slim")
            subprocess.run(
                ["mmdebstrap", "--variant=minbase", "--quiet", release, folder], check=True
            )
            mount(folder)
        elif step in ("ARG", "ENV"):
            name, _, value = words.partition("=")
            environment[name] = given.get(name, value) if step == "ARG" else value
        elif step == "COPY":
            copy(*words.split(), folder)
        elif step == "USER":
            user = words
        elif step == "WORKDIR":
            place = words
        else:
            assert step == "RUN", f"expected a step that is known here, got {step}"
            run(folder, words, environment, user, place)
    print(f"{time.monotonic() - began:6.0f} s  the smoke sweep, as {user}", flush=True)
    run(folder, SMOKE, environment, user, place)
    run(
        folder,
        "raydt analyze smoke >report.txt && grep -c D_T report.txt",
        environment,
        user,
        place,
    )
    print(f"{time.monotonic() - began:6.0f} s  all of it, {size(folder)}")


def mount(folder: Path) -> None:
    """In this process's own view of the file systems, which ends with it."""
    for name in FROM_HERE:
        if Path(name).exists():
            (folder / name[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(name, folder / name[1:])
    shutil.copy(f"/{CERTIFICATES}", folder / OF_PIP)
    for name in FOLDERS:
        (folder / name[1:]).mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "--bind", name, folder / name[1:]], check=True)


def copy(source: str, target: str, folder: Path) -> None:
    left_out = shutil.ignore_patterns(".git", ".venv", "runs", "__pycache__")
    here, there = ROOT / source, folder / target[1:]
    if here.is_dir():
        shutil.copytree(here, there, ignore=left_out, dirs_exist_ok=True)
    else:
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(here, there)


def run(folder: Path, words: str, environment: dict[str, str], user: str, place: str) -> None:
    home = "/root" if user == "root" else f"/home/{user}"
    here = {k: v for k, v in os.environ.items() if k.startswith("PIP_")}
    env = {**here, **environment, "HOME": home, "USER": user, "OMP_NUM_THREADS": "1"}
    env["PIP_CERT"] = f"/{OF_PIP}"
    inner = f"cd {place} && {words}"
    if user != "root":
        inner = f"setpriv --reuid={user} --regid={user} --init-groups sh -c {shlex.quote(inner)}"
    chroot = shutil.which("chroot", path="/usr/sbin:/sbin:/usr/bin:/bin")
    assert chroot is not None, "apt-get install coreutils"
    subprocess.run([chroot, folder, "sh", "-c", inner], env=env, check=True)


def size(folder: Path) -> str:
    """Of the image, and of raydt's environment in it, as a person reads it."""
    mounted = [f"--exclude={folder / name[1:]}" for name in FOLDERS]
    said = [
        subprocess.run(
            ["du", "-sh", *mounted, place], capture_output=True, text=True, check=True
        ).stdout.split()[0]
        for place in (folder, folder / "opt/venv")
    ]
    return f"{said[0]}, {said[1]} of it in /opt/venv"


if __name__ == "__main__":
    if os.environ.get("RAYDT_OWN_MOUNTS") != "1":
        own = {**os.environ, "RAYDT_OWN_MOUNTS": "1"}
        os.execvpe("unshare", ["unshare", "--mount", sys.executable, *sys.argv], own)
    main(Path(sys.argv[1]), *sys.argv[2:])
