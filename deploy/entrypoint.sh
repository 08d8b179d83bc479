#!/bin/sh
# `widesweep` in a container. A sweep's driver needs a Ray node beside it: `run` joins the cluster at
# RAY_ADDRESS with a node without resources, which leaves the cluster with the container.
set -eu
if [ "${1:-}" = run ] && [ -n "${RAY_ADDRESS:-}" ]; then
    ray start --address "$RAY_ADDRESS" --num-cpus 0 --num-gpus 0 --disable-usage-stats \
        --object-store-memory 134217728 >/tmp/ray-start.log 2>&1 || { cat /tmp/ray-start.log >&2; exit 1; }
fi
exec widesweep "$@"
