"""URIs of MLflow stores: their passwords, and paths that a URI must escape.

A password is needed to open a store and nowhere else. What is written or shown goes through
`without_password`; what is handed to MLflow comes from `client_uri`.
"""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

_SQLITE = "sqlite:///"
# The variable that PostgreSQL's own clients read; pg8000 does not, so we do.
POSTGRES_PASSWORD = "PGPASSWORD"
# MLflow's own, for a server that asks who is there.
_HTTP_USER, _HTTP_PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
_PASSWORD_OPTION = re.compile(r"(?<=[?&])password=[^&#]*&?")


class _Parts(NamedTuple):
    scheme: str  # with its ://
    user: str
    password: str | None
    rest: str  # host, port, path and query


def sqlite_uri(path: Path) -> str:
    """The URI of a SQLite store at an absolute path.

    Only what would end the path or be read as an escape is escaped: SQLAlchemy before 2.1 takes
    the path as it stands.
    """
    return _SQLITE + str(path).replace("%", "%25").replace("?", "%3F")


def sqlite_path(uri: str) -> Path | None:
    """The file of a SQLite store; None for a store of another kind."""
    if not uri.startswith(_SQLITE):
        return None
    return Path(unquote(uri.removeprefix(_SQLITE).partition("?")[0]))


def is_postgres(uri: str) -> bool:
    """Whether the store is PostgreSQL, with whichever driver."""
    return uri.partition("://")[0].partition("+")[0] == "postgresql"


def has_password(uri: str) -> bool:
    """Whether a password stands in the URI."""
    return without_password(uri) != uri


def without_password(uri: str) -> str:
    """The URI as it may be written down and shown: with its user, without its password."""
    parts = _parts(uri)
    if parts is None:
        return uri
    user = f"{parts.user}@" if parts.user else ""
    return f"{parts.scheme}{user}{_without_option(parts.rest)}"


def without_user(uri: str) -> str:
    """The bare address, without user and password."""
    parts = _parts(uri)
    return uri if parts is None else parts.scheme + _without_option(parts.rest)


def client_uri(uri: str) -> str:
    """The URI to open the store with.

    A PostgreSQL URI without a password takes that of `PGPASSWORD`, and one without a driver the
    driver that `raydt[postgres]` installs. User and password of a server go to MLflow's own
    variables `MLFLOW_TRACKING_USERNAME` and `_PASSWORD`, so that no message of MLflow's repeats
    them.
    """
    if uri.startswith(_SQLITE) and "%" in uri:
        # The same store; but of this form MLflow does not make the folder, for which it would
        # take the escaped path as it stands.
        return f"sqlite+pysqlite:///{uri.removeprefix(_SQLITE)}"
    parts = _parts(uri)
    if parts is None:
        return uri
    if uri.startswith(("http://", "https://")):
        if parts.user:
            os.environ[_HTTP_USER] = unquote(parts.user)
        if parts.password is not None:
            os.environ[_HTTP_PASSWORD] = unquote(parts.password)
        return parts.scheme + parts.rest
    if not is_postgres(uri):
        return uri
    scheme, user, password, rest = parts
    if scheme == "postgresql://" and importlib.util.find_spec("psycopg2") is None:
        scheme = "postgresql+pg8000://"
    if password is None and not _PASSWORD_OPTION.search(rest):
        known = os.environ.get(POSTGRES_PASSWORD)
        password = None if known is None else quote(known, safe="")
    credentials = user + ("" if password is None else f":{password}")
    return f"{scheme}{credentials}{'@' if credentials else ''}{rest}"


def postgres_refusal(uri: str) -> tuple[str, str] | None:
    """What is required and what was found where a PostgreSQL store cannot be opened; else None.

    Asked once and at once: MLflow repeats a refused password for 100 seconds.
    """
    if not is_postgres(uri):
        return None
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError

    try:
        engine = create_engine(client_uri(uri))
        engine.connect().close()
        engine.dispose()
    except ModuleNotFoundError as error:
        return "a driver of PostgreSQL (pip install 'raydt[postgres]')", str(error)
    except TypeError as error:  # of a driver that is called with an option it has not
        wanted = "options that the driver of PostgreSQL knows (sslmode and others of libpq are "
        wanted += "psycopg2's: pip install psycopg2-binary)"
        return wanted, f"{without_password(uri)}: {error}"
    except (SQLAlchemyError, AttributeError) as error:
        wanted = f"a PostgreSQL that lets us in (its password comes from {POSTGRES_PASSWORD})"
        if isinstance(error, AttributeError):
            # What pg8000 comes to that was given no password and is asked for one.
            return wanted, f"{without_password(uri)}: no password"
        reason = getattr(error, "orig", None) or error
        # pg8000 answers with the fields of the protocol; M is the message.
        fields = reason.args[0] if reason.args else str(reason)
        found = fields.get("M", fields) if isinstance(fields, dict) else str(fields)
        return wanted, f"{without_password(uri)}: {str(found).splitlines()[0]}"
    return None


def _parts(uri: str) -> _Parts | None:
    """None for what is no URI, or has no place for a user: a file."""
    scheme, mark, rest = uri.partition("://")
    if not mark or rest.startswith("/"):
        return None
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    port = authority.partition(":")[2]
    if "@" not in authority and "@" in rest and port and not port.isdecimal():
        # A password with a bare / ? or #, which nothing can connect with: hidden all the same.
        authority = rest[: rest.rindex("@") + 1]
    credentials, _, _ = authority.rpartition("@")
    user, colon, password = credentials.partition(":")
    after = rest[len(credentials) + 1 :] if "@" in authority else rest
    return _Parts(f"{scheme}://", user, password if colon else None, after)


def _without_option(rest: str) -> str:
    """`postgresql://host/db?password=...` is a password too."""
    return _PASSWORD_OPTION.sub("", rest).rstrip("?&")


def run_address(store_uri: str, experiment_id: str, run_id: str) -> str:
    """Where people find a run: its page, of a server; MLflow's own address of it, of a database."""
    if not store_uri.startswith("http"):
        return f"runs:/{run_id}"
    server = without_user(store_uri).rstrip("/")
    return f"{server}/#/experiments/{experiment_id}/runs/{run_id}"
