"""An object store on loopback with latency: answers this client like S3, each answer after a number
of milliseconds, as from a cloud, and many at once.

    python benchmarks/slow_store.py 30 FOLDER      # prints its port; serves the folder's files

Also answers the requests that raydt makes to an MLflow server at the start, so that a launch with
nothing to record needs no other server.
"""

from __future__ import annotations

import asyncio
import bisect
import hashlib
import json
import sys
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

_PAGE = 1000  # of S3's own
_ROOT = '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
_EXPERIMENT = {"experiment": {"experiment_id": "1", "creation_time": 7}}
EXPERIMENT_KEY = "1@7"


class Store:
    """Objects by key; the keys in order, for listings."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.objects: dict[str, bytes] = {}
        self.load()

    def load(self) -> None:
        """Also add what is in the folder by now."""
        for path in self._folder.rglob("*"):
            if path.is_file():
                self.objects[path.relative_to(self._folder).as_posix()] = path.read_bytes()
        self.keys = sorted(self.objects)

    def put(self, key: str, data: bytes) -> None:
        if key not in self.objects:
            bisect.insort(self.keys, key)
        self.objects[key] = data

    def delete(self, key: str) -> None:
        if self.objects.pop(key, None) is not None:
            self.keys.pop(bisect.bisect_left(self.keys, key))

    def page(self, prefix: str, after: str, delimiter: str) -> tuple[list[str], list[str], str]:
        """Keys, common prefixes, and where the next page begins, "" at the end."""
        keys: list[str] = []
        prefixes: list[str] = []
        at = bisect.bisect_left(self.keys, max(prefix, after))
        while at < len(self.keys) and self.keys[at].startswith(prefix):
            if len(keys) + len(prefixes) == _PAGE:
                return keys, prefixes, self.keys[at]
            key = self.keys[at]
            cut = key.find(delimiter, len(prefix)) if delimiter else -1
            if cut < 0:
                keys.append(key)
                at += 1
            else:
                prefixes.append(key[: cut + 1])
                at = bisect.bisect_left(self.keys, key[:cut] + chr(ord(delimiter) + 1))
        return keys, prefixes, ""

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        url = urlsplit(target)
        if url.path == "/health":
            return 200, {}, b"OK"
        if url.path == "/reload":
            self.load()
            return 200, {}, b""
        if url.path.startswith("/api/"):
            return 200, {}, json.dumps(_EXPERIMENT).encode()
        _, _, key = unquote(url.path).lstrip("/").partition("/")
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if method == "GET" and not key:
            after = query.get("continuation-token", "")
            listed = self.page(query.get("prefix", ""), after, query.get("delimiter", ""))
            return 200, {}, self._listed(*listed)
        if method == "POST":
            keys = [part.partition("</Key>")[0] for part in body.decode().split("<Key>")[1:]]
            for key in keys:
                self.delete(key)
            deleted = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
            return 200, {}, f"<DeleteResult>{deleted}</DeleteResult>".encode()
        there = self.objects.get(key)
        if method == "PUT":
            expected = headers.get("if-match")
            if (headers.get("if-none-match") and there is not None) or (
                expected is not None and (there is None or _tag(there) != expected)
            ):
                return 412, {}, b""
            self.put(key, body)
            return 200, {"ETag": _tag(body)}, b""
        if method == "DELETE":
            self.delete(key)
            return 204, {}, b""
        if there is None:
            return 404, {}, b""
        return 200, {"ETag": _tag(there), "Last-Modified": _WHEN}, there

    def _listed(self, keys: list[str], prefixes: list[str], after: str) -> bytes:
        parts = [_ROOT, f"<IsTruncated>{str(bool(after)).lower()}</IsTruncated>"]
        if after:
            parts.append(f"<NextContinuationToken>{after}</NextContinuationToken>")
        for key in keys:
            size = len(self.objects[key])
            parts.append(f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z")
            parts.append(f'</LastModified><ETag>"x"</ETag><Size>{size}</Size></Contents>')
        parts += [f"<CommonPrefixes><Prefix>{p}</Prefix></CommonPrefixes>" for p in prefixes]
        return "".join([*parts, "</ListBucketResult>"]).encode()


Answer = tuple[int, dict[str, str], bytes]
_WHEN = "Thu, 01 Jan 2026 00:00:00 GMT"


def _tag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


async def serve(store: Store, delay_seconds: float) -> None:
    """Until it is ended."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                method, target, _ = line.decode().split(" ")
                headers = {}
                while (line := await reader.readline()) not in (b"\r\n", b""):
                    name, _, value = line.decode().partition(":")
                    headers[name.lower()] = value.strip()
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                await asyncio.sleep(delay_seconds)
                status, told, data = store.answer(method, target, headers, body)
                head = f"HTTP/1.1 {status} x\r\n"
                head += "".join(f"{name}: {value}\r\n" for name, value in told.items())
                head += f"Content-Length: {len(data)}\r\n\r\n"
                writer.write(head.encode() + (b"" if method == "HEAD" else data))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has left
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    asyncio.run(serve(Store(Path(sys.argv[2])), float(sys.argv[1]) / 1000))


if __name__ == "__main__":
    main()
