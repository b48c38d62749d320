"""`raydt push`: upload an exported model to the Hugging Face Hub."""

from __future__ import annotations

import argparse
from pathlib import Path

from raydt.commands.parser import CommandParser


def make_parser(prog: str, about: str) -> CommandParser:
    parser = CommandParser(prog, about)
    parser.add_argument("folder", metavar="FOLDER", help="a folder that `raydt export` wrote")
    parser.add_argument("--to", required=True, metavar="OWNER/NAME", help="repository on the Hub")
    parser.add_argument("--private", action="store_true", help="create the repository as private")
    parser.add_argument(
        "--update", action="store_true", help="commit to a repository that already has files"
    )
    return parser


def run(parsed: argparse.Namespace) -> int:
    from raydt.export.push import push_folder

    folder = Path(parsed.folder).expanduser()
    print(push_folder(folder, parsed.to, private=parsed.private, update=parsed.update))
    return 0
