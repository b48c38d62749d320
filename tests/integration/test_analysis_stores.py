"""The same table from PostgreSQL, its tables and through the client, and from a server."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pandas as pd
import pytest

from analysis.store.api import ApiReader
from analysis.store.read import SweepRuns, _read, open_store, read_sweep
from analysis.table import tidy
from raydt.errors import InputError
from raydt.losses.imported import import_losses
from raydt.losses.table import LossTable, read_losses
from tests.integration.mlflow_server import start_server, stop
from tests.ports import free_port

pytestmark = pytest.mark.integration


@pytest.fixture
def losses(tmp_path: Path) -> LossTable:
    path = tmp_path / "losses.csv"
    path.write_text(
        "stage,source,target,size,seed,loss,status,reason\n"
        "scratch,,de,8k,0,2.0,,\n"
        "scratch,,de,32k,0,1.5,,\n"
        "finetune,en,de,8k,0,1.7,,\n"
        "finetune,zh,de,8k,0,,diverged,loss is nan\n"
        "zeroshot,en,de,0,0,2.5,,\n"
    )
    return read_losses(path)


def check(read: SweepRuns, losses: LossTable) -> pd.DataFrame:
    table = tidy(read)
    assert (table.problems, table.resolved) == ([], [])
    assert table.not_done["reason"].tolist() == ["loss is nan"]
    found = table.cells.set_index("cell_id")["test_loss"].dropna().to_dict()
    assert found == {row.cell_id: row.test_loss for row in losses.rows if row.test_loss}
    return table.cells


def test_postgresql(losses: LossTable) -> None:
    servers = pytest.importorskip("tests.integration.postgres", reason="it starts PostgreSQL")
    with servers.postgres() as server:
        secret = f"keeper:{quote(servers.PASSWORD, safe='')}@"
        uri = server.uri.replace("keeper@", secret)
        import_losses(losses, uri, "other-people", "losses.csv")
        again = import_losses(losses, uri, "other-people", "losses.csv")
        assert again.num_written == 0
        tables = read_sweep(uri)
        assert tables.notes == []
        assert tables.store_uri == server.uri
        client = _read(ApiReader(open_store(uri)), uri, None, [])
        pd.testing.assert_frame_equal(check(tables, losses), check(client, losses))
        with pytest.raises(InputError, match="access to PostgreSQL") as raised:
            read_sweep(uri.replace(secret, "keeper:wrong@"))
        assert f"got {server.uri}" in str(raised.value)
        assert "authentication failed" in str(raised.value)


def test_a_server(losses: LossTable, tmp_path: Path) -> None:
    port = free_port()
    server = start_server(tmp_path, port)
    try:
        uri = f"http://127.0.0.1:{port}"
        import_losses(losses, uri, "other-people", "losses.csv")
        through_server = check(read_sweep(uri), losses)
        beside_it = check(read_sweep(f"sqlite:///{tmp_path / 'mlflow.db'}"), losses)
        pd.testing.assert_frame_equal(through_server, beside_it)
    finally:
        stop(server)
