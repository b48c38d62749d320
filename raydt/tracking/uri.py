"""URIs of MLflow stores: passwords, and paths that must be escaped.

A password is only needed to open a store. URIs that are recorded or shown go through
`without_password`; those for MLflow come from `client_uri`.
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
# MLflow's own, for a server with a login.
_HTTP_USER, _HTTP_PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
_PASSWORD_OPTION = re.compile(r"(?<=[?&])password=[^&#]*&?")


class _Parts(NamedTuple):
    scheme: str  # with its ://
    user: str
    password: str | None
    rest: str  # host, port, path and query


def sqlite_uri(path: Path) -> str:
    """The URI of a SQLite store at an absolute path.

    Only characters that would end the path or start an escape are escaped: SQLAlchemy before 2.1
    does not unescape paths.
    """
    return _SQLITE + str(path).replace("%", "%25").replace("?", "%3F")


def sqlite_path(uri: str) -> Path | None:
    """The file of a SQLite store; None for a store of another kind."""
    if not uri.startswith(_SQLITE):
        return None
    return Path(unquote(uri.removeprefix(_SQLITE).partition("?")[0]))


def is_postgres(uri: str) -> bool:
    """Whether the store is PostgreSQL, with any driver."""
    return uri.partition("://")[0].partition("+")[0] == "postgresql"


def has_password(uri: str) -> bool:
    """Whether the URI contains a password."""
    return without_password(uri) != uri


def without_password(uri: str) -> str:
    """The URI with its user but without its password, to be recorded or shown."""
    parts = _parts(uri)
    if parts is None:
        return uri
    user = f"{parts.user}@" if parts.user else ""
    return f"{parts.scheme}{user}{_without_option(parts.rest)}"


def without_user(uri: str) -> str:
    """The URI without user and password."""
    parts = _parts(uri)
    return uri if parts is None else parts.scheme + _without_option(parts.rest)


def client_uri(uri: str) -> str:
    """The URI for opening the store.

    A PostgreSQL URI without a password gets that of `PGPASSWORD`, and one without a driver the
    driver of `raydt[postgres]`. User and password of a server are moved to MLflow's variables
    `MLFLOW_TRACKING_USERNAME` and `_PASSWORD`, so that MLflow does not print them.
    """
    if uri.startswith(_SQLITE) and "%" in uri:
        # The same store, in a form for which MLflow does not create the folder from the escaped
        # path.
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
    """What was expected and what was found if a PostgreSQL store cannot be opened; else None.

    A single quick attempt: MLflow retries a rejected password for 100 seconds.
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
    except TypeError as error:  # an option that the driver does not have
        wanted = "options of the PostgreSQL driver (sslmode and other options of libpq need "
        wanted += "psycopg2: pip install psycopg2-binary)"
        return wanted, f"{without_password(uri)}: {error}"
    except (SQLAlchemyError, AttributeError) as error:
        wanted = f"access to PostgreSQL (its password comes from {POSTGRES_PASSWORD})"
        if isinstance(error, AttributeError):
            # pg8000's error without a password if one is required.
            return wanted, f"{without_password(uri)}: no password"
        reason = getattr(error, "orig", None) or error
        # pg8000's errors have the fields of the protocol; M is the message.
        fields = reason.args[0] if reason.args else str(reason)
        found = fields.get("M", fields) if isinstance(fields, dict) else str(fields)
        return wanted, f"{without_password(uri)}: {str(found).splitlines()[0]}"
    return None


def _parts(uri: str) -> _Parts | None:
    """Split a URI; None if it is not one, or cannot have a user (a file)."""
    scheme, mark, rest = uri.partition("://")
    if not mark or rest.startswith("/"):
        return None
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    port = authority.partition(":")[2]
    if "@" not in authority and "@" in rest and port and not port.isdecimal():
        # A password with an unescaped / ? or # cannot work, but must be hidden as well.
        authority = rest[: rest.rindex("@") + 1]
    credentials, _, _ = authority.rpartition("@")
    user, colon, password = credentials.partition(":")
    after = rest[len(credentials) + 1 :] if "@" in authority else rest
    return _Parts(f"{scheme}://", user, password if colon else None, after)


def _without_option(rest: str) -> str:
    """Remove a password in the query: `postgresql://host/db?password=...`."""
    return _PASSWORD_OPTION.sub("", rest).rstrip("?&")


def run_address(store_uri: str, experiment_id: str, run_id: str) -> str:
    """The address of a run: its page on a server, or MLflow's own URI for a database."""
    if not store_uri.startswith("http"):
        return f"runs:/{run_id}"
    server = without_user(store_uri).rstrip("/")
    return f"{server}/#/experiments/{experiment_id}/runs/{run_id}"
