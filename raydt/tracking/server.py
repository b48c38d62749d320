"""Requests to an MLflow server without MLflow, with the login, certificate and prefix that its
client would use."""

from __future__ import annotations

import base64
import os
import ssl
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from raydt.tracking.uri import client_uri, without_user

# MLflow's own variables.
_USER, _PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
_TOKEN = "MLFLOW_TRACKING_TOKEN"
_INSECURE = "MLFLOW_TRACKING_INSECURE_TLS"
_CERTIFICATES = ("MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_CLIENT_CERTIFICATE = "MLFLOW_TRACKING_CLIENT_CERT_PATH"
# Statuses of a server that requires a login; MLflow itself finds out whether ours is accepted.
_NEEDS_LOGIN = (401, 403, 407)
_NOT_FOUND = 404


def ask(uri: str, path: str, timeout: float) -> bytes:
    """GET `path` from a server and return the first megabyte of its answer; raises `OSError`
    (`HTTPError` for an error status) and `HTTPException`."""
    request = Request(f"{without_user(uri).rstrip('/')}{path}", headers=_login(uri))
    with urlopen(request, timeout=timeout, context=_context(uri)) as answer:
        found: bytes = answer.read(2**20)
        return found


def found_instead(uri: str, timeout: float) -> str | None:
    """What answers instead of an MLflow server; None if it is one, or requires a login.

    A proxy may forward only the API, which is tried if `/health` is not found.
    """
    said = "another answer to /health"
    for path, expected in (
        ("/health", b"OK"),
        ("/api/2.0/mlflow/experiments/search?max_results=1", b"{"),
        ("/version", b""),
    ):
        try:
            answer = ask(uri, path, timeout).strip()
        except HTTPError as error:
            if error.code in _NEEDS_LOGIN:
                return None
            said = f"{error.code} from {path}"
            if error.code != _NOT_FOUND:
                return said
            continue
        except URLError as error:
            reason = error.reason
            if isinstance(reason, ssl.SSLError):
                return f"{reason} ({_CERTIFICATES[0]} names its certificate)"
            return str(reason)
        except (OSError, HTTPException) as error:
            return str(error) or type(error).__name__
        if expected and answer.startswith(expected) and (expected != b"OK" or answer == b"OK"):
            return None
        said = f"another answer to {path}"
    return said


def _login(uri: str) -> dict[str, str]:
    client_uri(uri)  # moves a login in the URI to MLflow's variables
    user, token = os.environ.get(_USER), os.environ.get(_TOKEN)
    if user is not None:
        pair = f"{user}:{os.environ.get(_PASSWORD, '')}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {"Authorization": f"Bearer {token}"} if token else {}


def _context(uri: str) -> ssl.SSLContext | None:
    if urlsplit(without_user(uri)).scheme != "https":
        return None
    if os.environ.get(_INSECURE, "").lower() in ("true", "1"):
        return ssl._create_unverified_context()  # as MLflow does with this variable
    authority = next((os.environ[name] for name in _CERTIFICATES if os.environ.get(name)), None)
    is_folder = authority is not None and os.path.isdir(authority)  # noqa: PTH112
    context = ssl.create_default_context(
        cafile=None if is_folder else authority, capath=authority if is_folder else None
    )
    own = os.environ.get(_CLIENT_CERTIFICATE)
    if own:
        context.load_cert_chain(own)
    return context
