#!/usr/bin/env bash
# A real SLURM of two nodes on one machine: slurmctld and two slurmd, each node with a host name, an
# address, a process table and a /tmp of its own, as two machines would have. Run as the first
# process of a process table of its own (see slurm.py), so that all of it ends with that process.
#
# slurm_machine.sh FOLDER SHARED...   FOLDER: of the daemons; SHARED: what all nodes see below /tmp
set -euo pipefail
folder=$1
shift

node() { # NAME ADDRESS LINK SHARED...: in namespaces of its own
    local name=$1 address=$2 link=$3 kept
    shift 3
    hostname "$name"
    ip link set lo up
    until ip link show "$link" >"$folder/$name.link" 2>&1; do sleep 0.1; done
    ip address add "$address/24" dev "$link"
    ip link set "$link" up
    # It leads nowhere: by it a program finds the address of its own machine.
    ip route add default via 10.213.7.1
    # A /tmp of its own, but for what is shared.
    kept=$folder/kept-$name
    for path in "$@"; do
        mkdir -p "$kept$path"
        mount --bind "$path" "$kept$path"
    done
    mount -t tmpfs tmpfs-of-node "$folder/tmp-$name"
    for path in "$@"; do
        mkdir -p "$folder/tmp-$name${path#/tmp}"
        mount --bind "$kept$path" "$folder/tmp-$name${path#/tmp}"
    done
    mount --rbind "$folder/tmp-$name" /tmp
    chmod 1777 /tmp
    # Not in the place of this shell, which buries what lost its parent, as a machine's init does.
    slurmd -D -N "$name" -f "$folder/slurm.conf" >"$folder/$name.out" 2>&1
    exit
}

if [ "${1:-}" = --node ]; then
    shift
    node "$@"
fi

hostname login
mount --make-rprivate /
mount --bind "$folder/hosts" /etc/hosts
ip link set lo up
ip link add lab type bridge
ip address add 10.213.7.1/24 dev lab
ip link set lab up
munged --foreground --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" \
    --pid-file="$folder/munged.pid" --seed-file="$folder/munged.seed" \
    --log-file="$folder/munged.log" >"$folder/munged.out" 2>&1 &
until [ -S "$folder/munge.socket" ]; do sleep 0.1; done
slurmctld -D -f "$folder/slurm.conf" >"$folder/slurmctld.out" 2>&1 &
for number in 1 2; do
    mkdir -p "$folder/spool-n$number" "$folder/tmp-n$number"
    unshare --pid --fork --mount-proc --mount --net --uts --kill-child \
        bash "$0" "$folder" --node "n$number" "10.213.7.1$number" "link$number" "$@" &
    # The link goes to the child of unshare, which is in the new network.
    until child=$(pgrep -P $!); do sleep 0.1; done
    until ip link add "out$number" type veth peer name "link$number" netns "$child"; do sleep 0.1; done
    ip link set "out$number" master lab up
done
echo ready >"$folder/ready"
wait
