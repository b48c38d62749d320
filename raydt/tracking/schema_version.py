"""Which version of MLflow a SQL store is of.

Asked before MLflow's client, which brings a store of an older version up without a word where that
lacks a table, so that those who share it can open it no more.
"""

from __future__ import annotations

from raydt.tracking.uri import client_uri, is_postgres, sqlite_path, without_password

_TABLE = "alembic_version"


def other_version(uri: str) -> tuple[str, str] | None:
    """What is required and what was found where a store is of another version than the MLflow that
    is installed; None where it is of the same, new, or a server.

    Raises `SQLAlchemyError` where it cannot be read.
    """
    if sqlite_path(uri) is None and not is_postgres(uri):
        return None
    import mlflow
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config
    from sqlalchemy import create_engine, inspect, text
    from sqlalchemy.pool import NullPool

    with create_engine(client_uri(uri), poolclass=NullPool).connect() as connection:
        if not inspect(connection).has_table(_TABLE):
            return None
        found = list(connection.execute(text(f"SELECT version_num FROM {_TABLE}")).scalars())
    script = ScriptDirectory.from_config(_get_alembic_config(""))
    if found == script.get_heads():
        return None
    shown, version = without_password(uri), mlflow.__version__
    if len(found) != 1:
        wanted = f"a whole store of MLflow {version}, which has one version"
        return wanted, f"{shown} with {len(found)} in its table {_TABLE}"
    (revision,) = found
    shown_there = f"{shown} with the schema {revision}"
    if revision in {each.revision for each in script.walk_revisions()}:
        wanted = (
            f"a store of MLflow {version}: copy it, then `mlflow db upgrade {shown}` brings it up"
        )
        return wanted, f"{shown_there}, of an older MLflow"
    wanted = (
        f"a store that MLflow {version} knows: a newer MLflow made this one, which `pip install "
        "--upgrade mlflow` gets, or name another store"
    )
    return wanted, f"{shown_there}, of a newer MLflow"
