"""Kubernetes' manifests of the project, and the schemas that they are held against."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parent.parent.parent
SCHEMAS = ROOT.parent / "shared" / "kuberay"


def documents(name: str) -> list[dict[str, Any]]:
    """What a file of `cluster` declares."""
    text = (ROOT / "cluster" / name).read_text()
    return [document for document in yaml.safe_load_all(text) if document]


def schema(file: str) -> dict[str, Any]:
    """The schema of a resource of KubeRay in its version 1, strict as `kubectl` is by default: it
    refuses fields that it does not know."""
    path = SCHEMAS / file
    if not path.exists():
        pytest.skip(f"no schemas of KubeRay on this machine: {path}")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    declared = yaml.load(path.read_text(), Loader=loader)
    (version,) = (v for v in declared["spec"]["versions"] if v["name"] == "v1")
    return _strict(version["schema"]["openAPIV3Schema"])


def problems(schema: dict[str, Any], document: dict[str, Any]) -> list[str]:
    """Where a manifest is not as its schema wants it, each in a line."""
    found = Draft202012Validator(schema).iter_errors(document)
    return [f"{'.'.join(str(part) for part in e.absolute_path)}: {e.message}" for e in found]


def pods(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The pods' templates of a RayJob or a Deployment, or a pod itself."""
    spec = document["spec"]
    if document["kind"] == "Pod":
        yield document
    elif document["kind"] == "RayJob":
        cluster = spec["rayClusterSpec"]
        yield cluster["headGroupSpec"]["template"]
        yield from (group["template"] for group in cluster["workerGroupSpecs"])
    elif document["kind"] == "Deployment":
        yield spec["template"]


def _strict(schema: dict[str, Any]) -> dict[str, Any]:
    """A copy in which an object with named fields has no others. What is metadata is Kubernetes'
    own, and has no schema here."""
    strict = copy.deepcopy(schema)
    todo: list[Any] = [strict]
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            fields = one.get("properties")
            if isinstance(fields, dict) and not one.get("x-kubernetes-preserve-unknown-fields"):
                one.setdefault("additionalProperties", False)
                todo.extend(fields.values())
            todo.extend(v for k, v in one.items() if k in ("items", "additionalProperties"))
    return strict
