#!/usr/bin/env bash
# The tests with real components that a plain machine can run, one after the other: S3, Slurm, several hosts.
# What cannot run here is skipped with a word. What fails, with daemons and deadlines on a machine that others
# may use, is tried once more, and the word says so; what fails twice ends this with 1.
#
#   tests/deploy/components.sh [NAME…]        s3, slurm, hosts; default: all of them
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
[ $# -gt 0 ] || set -- s3 slurm hosts
for name in "$@"; do
    case $name in
        s3) component "$name" python -m pytest -q -m "slow or not slow" tests/pipeline/test_s3.py ;;
        slurm) component "$name" tests/deploy/slurm.sh ;;
        hosts) component "$name" tests/deploy/namespaces.sh ;;
        *) echo "no component $name: s3, slurm or hosts" >&2; exit 2 ;;
    esac
done
printf '\n==== components passed'
[ ${#again[@]} = 0 ] || printf '; at the second try: %s' "${again[*]}"
[ ${#skipped[@]} = 0 ] || printf '; skipped here, for the reasons above: %s' "${skipped[*]}"
echo
