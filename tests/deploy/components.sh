#!/usr/bin/env bash
# The tests with real components that a plain machine can run, one after the other: S3, Slurm, several hosts.
# What cannot run here is skipped with a word; what fails ends this with 1.
#
#   tests/deploy/components.sh
set -uo pipefail
cd "$(dirname "$0")/../.."
export PATH=${WIDESWEEP_BIN:-$PWD/.venv/bin}:$PATH
skipped=()
component() { # NAME COMMAND…
    local name=$1 code=0; shift
    printf '\n==== %s\n' "$name"
    "$@" || code=$?
    case $code in
        0) ;;
        77) skipped+=("$name") ;;
        *) echo "FAILED: $name, exit code $code" >&2; exit 1 ;;
    esac
}
component S3 python -m pytest -q -m "slow or not slow" tests/pipeline/test_s3.py
component Slurm tests/deploy/slurm.sh
component "several hosts" tests/deploy/namespaces.sh
printf '\n==== components passed'
[ ${#skipped[@]} = 0 ] || printf '; skipped here, for the reasons above: %s' "${skipped[*]}"
echo
