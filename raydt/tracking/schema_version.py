"""Check the MLflow version of a SQL store.

Checked before MLflow's client is created, because that silently upgrades an older store that lacks
a table, and others who share the store could no longer open it.
"""

from __future__ import annotations

from raydt.tracking.uri import client_uri, is_postgres, sqlite_path, without_password

_TABLE = "alembic_version"


def other_version(uri: str) -> tuple[str, str] | None:
    """What was expected and what was found, if a store has another version than the installed
    MLflow; None if it has the same, is new, or is a server.

    Raises `SQLAlchemyError` if it cannot be read.
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
        wanted = f"a complete store of MLflow {version}, with one version"
        return wanted, f"{shown} with {len(found)} in its table {_TABLE}"
    (revision,) = found
    shown_there = f"{shown} with the schema {revision}"
    if revision in {each.revision for each in script.walk_revisions()}:
        wanted = (
            f"a store of MLflow {version} (copy it, then upgrade it: `mlflow db upgrade {shown}`)"
        )
        return wanted, f"{shown_there}, of an older MLflow"
    wanted = (
        f"a store of MLflow {version} or older (install a newer MLflow: `pip install --upgrade "
        "mlflow`; or use another store)"
    )
    return wanted, f"{shown_there}, of a newer MLflow"
