#!/usr/bin/env bash
# The tests with real components that a plain machine can run, one after the other: S3, Slurm, several hosts.
# What cannot run here is skipped with a word. What fails, with daemons and deadlines on a machine that others
# may use, is tried once more, and the word says so; what fails twice ends this with 1.
#
#   tests/deploy/components.sh
set -uo pipefail
cd "$(dirname "$0")/../.."
export PATH=${WIDESWEEP_BIN:-$PWD/.venv/bin}:$PATH
skipped=() again=()
component() { # NAME COMMAND…
    local name=$1 code=0; shift
    printf '\n==== %s\n' "$name"
    "$@" || code=$?
    if [ "$code" != 0 ] && [ "$code" != 77 ]; then
        echo "$name failed with exit code $code; once more" >&2
        again+=("$name")
        code=0
        "$@" || code=$?
    fi
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
[ ${#again[@]} = 0 ] || printf '; at the second try: %s' "${again[*]}"
[ ${#skipped[@]} = 0 ] || printf '; skipped here, for the reasons above: %s' "${skipped[*]}"
echo
