"""Read a TOML file that an option names."""

from __future__ import annotations

import tomllib
from pathlib import Path

from raydt.errors import bad


def read_toml(option: str, path: Path) -> dict[str, object]:
    """The tables of the file at `path`; `InputError` if it cannot be read."""
    what = f"{option} {path}"
    if path.is_dir():
        raise bad(what, "a TOML file", "a folder")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise bad(what, "a TOML file", "no file") from None
    except OSError as error:
        raise bad(what, "a readable file", error.strerror or error) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad(what, "valid TOML", error) from None
