"""`cluster.yaml`, held against Ray's own schema without a cloud."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml


@pytest.fixture(scope="module")
def declared() -> dict:
    return yaml.safe_load((Path(__file__).parent.parent / "cluster.yaml").read_text())


@pytest.fixture(scope="module")
def config(declared: dict) -> dict:
    from ray.autoscaler._private.util import check_legacy_fields, prepare_config, validate_config

    prepared = prepare_config(dict(declared))
    check_legacy_fields(prepared)
    validate_config(prepared)
    return prepared


def test_ray_takes_it(config: dict) -> None:
    assert config["available_node_types"]["gpu"]["min_workers"] == 0
    assert config["provider"]["type"] == "aws"


def test_a_misspelt_key_would_be_found(declared: dict) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    with pytest.raises(Exception, match="idle_timeout_minuts"):
        validate_config(prepare_config({**declared, "idle_timeout_minuts": 5}))


def test_versions_are_in_one_place(declared: dict) -> None:
    text = " ".join(declared["setup_commands"])
    assert "-c ~/raydt/constraints.txt" in text
    assert "==" not in text
