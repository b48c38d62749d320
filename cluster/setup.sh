#!/usr/bin/env bash
# What a machine needs to run raydt, the same in all places: cluster.yaml, cluster/gcp.yaml,
# cluster/Dockerfile, and by hand. The versions are those of constraints.txt.
#
#   setup.sh packages [NAME...]       Debian's or Ubuntu's, these too
#   setup.sh python FOLDER [EXTRAS]   raydt in a virtual environment of its own
#   setup.sh node [EXTRAS]            both, as `ray up` has them on every node
#   setup.sh head                     and on the head: PostgreSQL for MLflow
#   setup.sh mlflow ARTIFACTS         MLflow's server there, if it does not run
set -euo pipefail
code=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
sudo=$([ "$(id -u)" = 0 ] || echo sudo)

packages() {
    # At its first boot a machine updates itself and holds the packages' locks.
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
    # A C compiler and Python's headers are for Triton, which torch.compile builds kernels with.
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
    # PostgreSQL lets the user of the operating system in, through a socket: there is no password.
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
