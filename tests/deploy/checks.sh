# What the tests with real components share; to be sourced after `set -euo pipefail`.

step() { printf '\n== %s\n' "$*"; }
die() { echo "FAILED: $*" >&2; exit 1; }
skip() { echo "skipped: $*" >&2; exit 77; }

until_true() { # SECONDS COMMAND…
    local deadline=$((SECONDS + $1)); shift
    until "$@" >/dev/null 2>&1; do [ "$SECONDS" -lt "$deadline" ] || die "not within the deadline: $*"; sleep 1; done
}

blocks_done() { widesweep status "$1" --json 2>/dev/null | python -c 'import json, sys; print(json.load(sys.stdin)["blocks"]["done"])'; }
at_least() { [ "$(blocks_done "$1")" -ge "$2" ]; }

same_numbers() { # STORE STORE
    python - "$@" <<'PYTHON'
import sys, xarray
for group in ("training", "initialization"):
    one, two = (xarray.open_zarr(url, group=group).load() for url in sys.argv[1:3])
    assert (one.status != 0).all() and (two.status != 0).all(), f"{group}: cells are pending"
    assert one.identical(two), f"{group} differs"
print("equal, bit for bit")
PYTHON
}
