"""A Hub of one model repository on this machine: as much of its HTTP API as uploading takes."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from tests.local_server import serving

REPOSITORY = "owner/model"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Repository:
    """What the repository holds; `files` is None before it is made."""

    files: dict[str, bytes] | None = None
    refuses: bool = False
    endpoint: str = ""
    created: list[dict[str, object]] = field(default_factory=list)
    stored: dict[str, bytes] = field(default_factory=dict)  # large files, by SHA-256


@contextmanager
def hub_with(repository: Repository) -> Iterator[Repository]:
    """Serve the repository until the context ends."""
    with serving(_handler(repository)) as address:
        repository.endpoint = f"http://{address}"
        yield repository


def _handler(hub: Repository) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_HEAD(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def do_PUT(self) -> None:
            self._answer()

        def log_message(self, *_: object) -> None:
            """Quiet."""

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = urlsplit(self.path).path
            api = f"/api/models/{REPOSITORY}"
            if path == "/api/repos/create":
                if hub.refuses:
                    self._send(403, {"error": "you are not owner"})
                    return
                hub.created.append(json.loads(body))
                hub.files = {}
                self._send(200, {"url": f"{hub.endpoint}/{REPOSITORY}", "name": REPOSITORY})
            elif path == "/api/validate-yaml":
                self._send(200, {"errors": [], "warnings": []})
            elif path.startswith("/lfs/"):
                hub.stored[hashlib.sha256(body).hexdigest()] = body
                self._send(200, {})
            elif hub.files is None:
                self._send(404, {}, {"X-Error-Code": "RepoNotFound"})
            elif path == f"/{REPOSITORY}.git/info/lfs/objects/batch":
                self._send(200, self._batch(json.loads(body)))
            elif path == f"{api}/preupload/main":
                self._send(200, {"files": [_mode(file) for file in json.loads(body)["files"]]})
            elif path == f"{api}/commit/main":
                self._commit(body)
            elif re.fullmatch(rf"{api}(/revision/[^/]+)?", path):
                siblings = [{"rfilename": name} for name in hub.files]
                self._send(200, {"id": REPOSITORY, "sha": COMMIT, "siblings": siblings})
            elif path.startswith(f"{api}/tree/"):
                entries = [
                    {"type": "file", "path": name, "oid": "0" * 40, "size": len(data)}
                    for name, data in hub.files.items()
                ]
                self._send(200, entries)
            else:
                self._send(404, {}, {"X-Error-Code": "EntryNotFound"})

        def _batch(self, asked: dict[str, list[dict[str, object]]]) -> dict[str, object]:
            objects = [
                {**each, "actions": {"upload": {"href": f"{hub.endpoint}/lfs/{each['oid']}"}}}
                for each in asked["objects"]
            ]
            return {"transfer": "basic", "objects": objects}

        def _commit(self, body: bytes) -> None:
            assert hub.files is not None
            for line in body.splitlines():
                row = json.loads(line)
                value = row["value"]
                if row["key"] == "file":
                    hub.files[value["path"]] = base64.b64decode(value["content"])
                elif row["key"] == "lfsFile":
                    hub.files[value["path"]] = hub.stored[value["oid"]]
            url = f"{hub.endpoint}/{REPOSITORY}/commit/{COMMIT}"
            self._send(200, {"commitUrl": url, "commitOid": COMMIT, "success": True})

        def _send(
            self, status: int, content: object, headers: dict[str, str] | None = None
        ) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            headers = {"Content-Type": "application/json", **(headers or {})}
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    return Handler


def _mode(file: dict[str, object]) -> dict[str, object]:
    is_large = str(file["path"]).endswith(".safetensors")
    mode = "lfs" if is_large else "regular"
    return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}
