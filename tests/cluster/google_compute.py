"""Google's Compute API as far as Ray's provider speaks to it, in the place of its HTTP client. What
it is asked to make is held against Google's own description of the API, which the client ships."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httplib2
from jsonschema import Draft202012Validator

REGION = "us-central1"


class FakeGoogle:
    """One project with one network, empty at first."""

    def __init__(self, project: str) -> None:
        self.project = project
        self.instances: list[dict[str, Any]] = []
        self.roles: list[str] = []
        self._account: dict[str, str] | None = None
        self._metadata: dict[str, Any] = {"items": []}

    def request(
        self, uri: str, method: str = "GET", body: Any = None, **_: Any
    ) -> tuple[httplib2.Response, bytes]:
        """As `httplib2.Http.request`."""
        path = urlsplit(uri).path
        status, answer = self._answer(method, path, json.loads(body) if body else {})
        response = httplib2.Response({"status": str(status), "content-type": "application/json"})
        return response, json.dumps(answer).encode()

    def close(self) -> None:
        """There is no connection."""

    def _answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        done = {"name": "operation", "status": "DONE"}
        if path.endswith(":getIamPolicy"):
            return 200, {"bindings": []}
        if path.endswith(":setIamPolicy"):
            self.roles += [binding["role"] for binding in body["policy"]["bindings"]]
            return 200, {}
        if "/serviceAccounts" in path:
            return self._service_account(method)
        if "/operations/" in path:
            return 200, done
        if path.endswith("/setCommonInstanceMetadata"):
            self._metadata = body
            return 200, done
        if path.endswith("/subnetworks"):
            if f"/regions/{REGION}/" not in path:
                return 404, _error(404, "The resource 'region' was not found")
            return 200, {"items": [{"selfLink": f"regions/{REGION}/subnetworks/default"}]}
        if path.endswith("/instances"):
            return self._create(body) if method == "POST" else (200, {"items": self.instances})
        if re.search(r"/projects/[^/]+$", path):
            project = {"projectId": self.project, "name": self.project, "lifecycleState": "ACTIVE"}
            return 200, {**project, "commonInstanceMetadata": self._metadata}
        return 404, _error(404, f"no {method} {path} in this fake")

    def _service_account(self, method: str) -> tuple[int, Any]:
        if method == "POST":
            email = f"ray-autoscaler-sa-v1@{self.project}.iam.gserviceaccount.com"
            self._account = {"email": email, "projectId": self.project}
        return (200, self._account) if self._account else (404, _error(404, "no such account"))

    def _create(self, body: dict[str, Any]) -> tuple[int, Any]:
        wrong = [e.message for e in Draft202012Validator(_instance_schema()).iter_errors(body)]
        if wrong:
            return 400, _error(400, "; ".join(wrong))
        self.instances.append({**body, "status": "RUNNING"})
        return 200, {"name": "operation", "status": "RUNNING"}


def _error(code: int, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


def _instance_schema() -> dict[str, Any]:
    """That of a machine, strict: Google refuses fields that it does not know."""
    import googleapiclient

    folder = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
    declared = json.loads((folder / "compute.v1.json").read_text())["schemas"]
    return {"$ref": "#/$defs/Instance", "$defs": {n: _strict(s) for n, s in declared.items()}}


def _strict(schema: Any) -> Any:
    """From Google's dialect to that of the validator."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(schema.get("$ref"), str):
        return {"$ref": f"#/$defs/{schema['$ref']}"}
    kept = {k: _strict(v) for k, v in schema.items() if k in ("type", "enum", "items")}
    if schema.get("format") in ("int64", "uint64"):
        kept["type"] = ["string", "integer"]
    if isinstance(schema.get("properties"), dict):
        kept["properties"] = {name: _strict(one) for name, one in schema["properties"].items()}
        kept["additionalProperties"] = False
    elif isinstance(schema.get("additionalProperties"), dict):
        kept["additionalProperties"] = _strict(schema["additionalProperties"])
    return kept
