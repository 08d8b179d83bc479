#!/usr/bin/env bash
# The package without torch and Ray on other Pythons: it installs, predicts, reads, analyses and reports,
# and says in one sentence what training needs. PYTHONS names the interpreters; default: all of 3.12 and 3.13 here.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/deploy/checks.sh
widesweep() { .venv/bin/widesweep "$@"; }
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT

found() {
    local version place
    for version in 3.12 3.13; do
        place=$(command -v "python$version" || compgen -G "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version.*/bin/python" | head -1) || true
        [ -z "$place" ] || echo "$place"
    done
}
pythons=${PYTHONS:-$(found)}
[ -n "$pythons" ] || skip "no Python 3.12 or 3.13 is here; PYTHONS names one"

step "a small store, made by the whole package"
cat > "$work/small.yaml" <<'YAML'
network: {kind: fully_connected}
data: {source: digits, samples: 8}
grid: {width: [16, 32, 64], depth: [1], seed: 3, learning_rate: [1.0]}
training: {steps: 60}
YAML
widesweep run "$work/small.yaml" --store "$work/small.zarr" --scheduler local --quiet

for python in $pythons; do
    step "$("$python" --version): the base package"
    "$python" -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check . || die "it does not install"
    (
        cd "$work"
        ours() { venv/bin/widesweep "$@"; }
        venv/bin/python -c 'import importlib.util as u; assert not any(map(u.find_spec, ("torch", "ray", "sklearn")))'
        ours --version
        ours init demo --output demo.yaml
        ours plan demo.yaml > /dev/null
        ours theory small.yaml > /dev/null
        ours status small.zarr > /dev/null
        ours analyze small.zarr | head -3
        ours report small.zarr --output report
        ours export small.zarr --to csv | head -1
        venv/bin/python -c 'import widesweep as ws; print(ws.open("small.zarr").training.loss.sizes)'
        said=$(ours run small.yaml --store new.zarr 2>&1) && die "it ran without torch"
        echo "$said"
        [[ $said == *'pip install "widesweep[run]"'* ]] || die "it does not say what training needs"
        [ ! -e new.zarr ] || die "it left a store"
    )
    rm -rf "$work/venv" "$work/report"
done
