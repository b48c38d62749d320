#!/usr/bin/env bash
# Installs what a machine needs to run raydt; used by cluster.yaml, cluster/gcp.yaml and
# cluster/Dockerfile, or by hand. Versions are those of constraints.txt.
#
#   setup.sh packages [NAME...]       packages of Debian or Ubuntu, and NAME...
#   setup.sh python FOLDER [EXTRAS]   raydt in a new virtual environment
#   setup.sh node [EXTRAS]            both, as `ray up` does on every node
#   setup.sh head                     on the head also: PostgreSQL for MLflow
#   setup.sh mlflow ARTIFACTS         start MLflow's server, if it is not running
set -euo pipefail
code=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
sudo=$([ "$(id -u)" = 0 ] || echo sudo)

packages() {
    # At first boot a machine updates itself and holds apt's locks.
    timeout 600 sh -c "until $sudo apt-get update -q; do sleep 5; done"
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -qy \
        --no-install-recommends "$@"
}

python() {
    local folder=$1 extras=${2:-}
    python3 -m venv "$folder"
    "$folder/bin/pip" install -q -c "$code/constraints.txt" -e "$code${extras:+[$extras]}"
}

node() {
    # A C compiler and Python's headers are for Triton, which torch.compile uses.
    packages python3-venv python3-dev gcc libc6-dev nfs-common
    python ~/venv "$@"
    grep -q venv/bin ~/.bashrc ||
        sed -i '1i export PATH=~/venv/bin:$PATH RAY_AUTH_MODE=token' ~/.bashrc
}

head() {
    packages postgresql
    local role="SELECT 1 FROM pg_roles WHERE rolname='$USER'"
    sudo -u postgres psql -tc "$role" | grep -q 1 || {
        sudo -u postgres createuser "$USER"
        sudo -u postgres createdb -O "$USER" mlflow
    }
}

mlflow() {
    # PostgreSQL authenticates the operating system's user through a socket: no password.
    systemctl is-active -q raydt-mlflow || sudo systemd-run --unit=raydt-mlflow --uid="$USER" \
        --collect --setenv=MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
        ~/venv/bin/mlflow server --host 127.0.0.1 --port 5000 --workers 2 \
        --artifacts-destination "$1" --backend-store-uri \
        "postgresql+pg8000://$USER@/mlflow?unix_sock=/var/run/postgresql/.s.PGSQL.5432"
}

case ${1:-} in
packages | python | node | head | mlflow) "$@" ;;
*)
    echo "setup.sh: expected packages, python, node, head or mlflow, got '${1:-}'" >&2
    exit 2
    ;;
esac
