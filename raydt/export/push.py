"""Upload an exported folder to a repository on the Hugging Face Hub."""

from __future__ import annotations

import re
from pathlib import Path

from raydt.config.hub_folder import CONFIG, MODEL
from raydt.corpora.sources.hub import check_reachable
from raydt.errors import InputError, Problem, RunError, bad
from raydt.export.folder import CARD

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_MADE_BY_THE_HUB = {".gitattributes"}


def push_folder(folder: Path, repository: str, *, private: bool, update: bool) -> str:
    """Upload a folder that `raydt export` wrote to the repository OWNER/NAME, which is created if
    missing; return the URL of the commit.

    A repository that has files needs `update`. huggingface_hub authenticates (`hf auth login`,
    HF_TOKEN). `InputError` if the folder is not an export, the name is not valid or the Hub cannot
    be reached; `RunError` if the Hub refuses.
    """
    problems = [
        Problem(str(folder / name), "a file written by `raydt export`", "no file")
        for name in (CONFIG, MODEL, CARD)
        if not (folder / name).is_file()
    ]
    if not _REPOSITORY.fullmatch(repository):
        problems.append(Problem("--to", "OWNER/NAME of a repository", repr(repository)))
    if problems:
        raise InputError(problems)
    check_reachable("raydt push", "or upload the folder from a machine that has one")
    return _upload(folder, repository, private, update)


def _upload(folder: Path, repository: str, private: bool, update: bool) -> str:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi()
    try:
        if api.repo_exists(repository):
            there = set(api.list_repo_files(repository)) - _MADE_BY_THE_HUB
            if there and not update:
                raise bad(
                    f"--to {repository}",
                    "a new or an empty repository (--update commits to one that has files)",
                    f"{len(there)} files, such as {min(there)}",
                )
        else:
            api.create_repo(repository, private=private)
        done = api.upload_folder(
            folder_path=folder, repo_id=repository, commit_message="Exported by raydt"
        )
    except (HfHubHTTPError, OSError) as error:
        what = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise RunError(f"{repository}: the Hub refused the upload: {what}") from None
    return str(done.commit_url)
