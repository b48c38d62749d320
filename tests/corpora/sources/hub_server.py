"""A Hub of one dataset on this machine: as much of its HTTP API as reading a dataset takes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlsplit

from tests.local_server import serving

DATASET = "owner/data"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
# What the Hub says of the dataset, besides its files.
ABOUT = {
    "id": DATASET,
    "sha": COMMIT,
    "private": False,
    "gated": False,
    "disabled": False,
    "downloads": 0,
    "likes": 0,
    "tags": [],
    "cardData": {"license": "odc-by"},
}


@dataclass
class Hub:
    """The files of the dataset, what was asked for, and how often a connection is yet to break."""

    files: dict[str, bytes]
    endpoint: str = ""
    breaks_left: int = 0
    requests: list[str] = field(default_factory=list)
    num_broken: int = 0

    def infos(self, folder: str = "", recursive: bool = True) -> list[dict[str, object]]:
        """What the tree of the repository says below a folder."""
        prefix = f"{folder}/" if folder else ""
        found: dict[str, dict[str, object]] = {}
        for path, data in self.files.items():
            if not path.startswith(prefix):
                continue
            inside = path.removeprefix(prefix).split("/")
            for depth in range(1, len(inside)) if recursive else range(1, min(2, len(inside))):
                name = prefix + "/".join(inside[:depth])
                found[name] = {"type": "directory", "path": name, "oid": "0" * 40, "size": 0}
            if recursive or len(inside) == 1:
                oid = hashlib.sha1(data).hexdigest()
                found[path] = {"type": "file", "path": path, "oid": oid, "size": len(data)}
        return list(found.values())


@contextmanager
def hub_of(files: dict[str, bytes]) -> Iterator[Hub]:
    """Serve these files, by their paths in the repository, until the context ends."""
    hub = Hub(files)
    with serving(_handler(hub)) as address:
        hub.endpoint = f"http://{address}"
        yield hub


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_HEAD(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def log_message(self, *_: object) -> None:
            """Quiet."""

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            url = urlsplit(self.path)
            path = unquote(url.path)
            hub.requests.append(f"{self.command} {path} {self.headers.get('Range') or ''}".strip())
            api = f"/api/datasets/{DATASET}"
            tree = re.fullmatch(rf"{api}/tree/[^/]+/?(.*)", path)
            resolve = re.fullmatch(rf"/datasets/{DATASET}/resolve/([^/]+)/(.+)", path)
            if re.fullmatch(rf"{api}(/revision/(main|{COMMIT}))?", path):
                siblings = [{"rfilename": name} for name in hub.files]
                self._json(ABOUT | {"siblings": siblings})
            elif tree:
                recursive = parse_qs(url.query).get("recursive", ["false"])[0].lower() == "true"
                infos = hub.infos(tree[1], recursive)
                self._json(infos) if infos else self._missing("EntryNotFound")
            elif path.startswith(f"{api}/paths-info/"):
                form = parse_qs(body.decode())
                asked = form.get("paths") or json.loads(body)["paths"]
                asked = [asked] if isinstance(asked, str) else asked
                self._json([info for info in hub.infos() if info["path"] in asked])
            elif resolve and resolve[2] in hub.files:
                self._file(hub.files[resolve[2]])
            else:
                self._missing(
                    "EntryNotFound" if resolve or path.startswith(api) else "RepoNotFound"
                )

        def _json(self, value: object) -> None:
            self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

        def _missing(self, code: str) -> None:
            self._send(404, b"{}", {"X-Error-Code": code, "X-Error-Message": "not here"})

        def _file(self, data: bytes) -> None:
            headers = {
                "ETag": f'"{hashlib.sha1(data).hexdigest()}"',
                "X-Repo-Commit": COMMIT,
                "Accept-Ranges": "bytes",
            }
            wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
            if not wanted:
                self._send(200, data, headers)
                return
            begin, end = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
            headers["Content-Range"] = f"bytes {begin}-{end}/{len(data)}"
            self._send(206 if begin <= end else 416, data[begin : end + 1], headers)

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "HEAD":
                return
            if hub.breaks_left and len(body) > 100_000:
                hub.breaks_left -= 1
                hub.num_broken += 1
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
                return
            self.wfile.write(body)

    return Handler
