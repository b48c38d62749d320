#!/usr/bin/env bash
# What a GPU makes of raydt, in at most eight minutes: correctness, MFU, small cells, memory.
#
#   benchmarks/gpu.sh              one GPU; prints a table and writes gpu.json
#   benchmarks/gpu.sh --reduced    the same steps on whatever there is, a CPU too, in little
#
# Needs torch, numpy, pydantic, rich and this repository, but neither Ray nor MLflow.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHONPATH=".${PYTHONPATH:+:$PYTHONPATH}" exec "${PYTHON:-python3}" -m benchmarks.gpu.main "$@"
