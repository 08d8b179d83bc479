#!/usr/bin/env bash
# The shipped compose file, for real: build, up with two Ray workers, a sweep during which one of them is
# killed, the analysis on Dask, the same sweep in the object store, and everything taken down again.
#
#   tests/deploy/compose.sh [CONFIG] [--set KEY=VALUE]...        default: configs/demo.yaml
#
# Exit code 77 and a word why: this machine has no engine and cannot start one.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/deploy/checks.sh
source tests/deploy/engine.sh
config=configs/demo.yaml
if [ "$#" -gt 0 ]; then config=$1; shift; fi
settings=("$@")
name=$(sed -n 's/^name: *//p' "$config")

folder=${WIDESWEEP_TEST_FOLDER:-$(mktemp -d)}
export COMPOSE_PROJECT_NAME=widesweep-test WIDESWEEP_TAG=test WORKER_CPUS=${WORKER_CPUS:-1}
export RAY_DASHBOARD_PORT=18265 S3_PORT=18333 NOTEBOOK_PORT=18888

finish() {
    code=$?
    set +e
    [ "$code" = 0 ] || compose logs --tail 30
    compose --profile s3 --profile notebook --profile command down -v --remove-orphans --timeout 5
    engine_stop
    [ -n "${WIDESWEEP_TEST_FOLDER:-}" ] || rm -rf "$folder"
    exit "$code"
}
trap finish EXIT

run() { compose run --rm -T widesweep "$@"; }
read_json() { python3 -c "import json, sys; x = json.load(sys.stdin); print($1)"; }

step "engine, base image, secrets, build"
engine_start "$folder"
tests/deploy/base_image.sh "$(sed -n 's/^FROM \([^ ]*\).*/\1/p' deploy/Dockerfile | head -1)" "$folder"
# A base image with wheels of its own needs no other index for the CPU build of torch.
if docker run --rm "$(sed -n 's/^FROM \([^ ]*\).*/\1/p' deploy/Dockerfile | head -1)" sh -c '[ -n "${PIP_FIND_LINKS:-}" ]'; then
    export TORCH_INDEX=
fi
deploy/secrets.sh
compose build ray-head s3 >"$folder/build.log" 2>&1 || { tail -30 "$folder/build.log"; die build; }
docker images --format '{{.Repository}}:{{.Tag}} {{.Size}}' | grep '^widesweep'

step "up, two Ray workers"
compose up -d --scale ray-worker=2 ray-worker dask-worker
healthy() { [ "$(docker ps -q --filter "label=com.docker.compose.service=$1" --filter health=healthy | wc -l)" = "$2" ]; }
until_true 120 healthy ray-worker 2
until_true 120 healthy dask-worker 1

step "without the token the cluster refuses"
if docker run --rm --network "${COMPOSE_PROJECT_NAME}_default" -e RAY_AUTH_MODE=token -e RAY_AUTH_TOKEN=wrong \
    --entrypoint ray widesweep:test start --address ray-head:6379 --num-cpus 1 >"$folder/refused.log" 2>&1; then
    die "a node with a wrong token joined"
fi
grep -iE -m1 'token|unauthenticated|authenticat' "$folder/refused.log"

step "a sweep, one of the two workers killed in the middle"
run run "$config" "${settings[@]}" --store "results/$name.zarr" --json >"$folder/run.json" 2>"$folder/run.log" &
sweep=$!
blocks_done() { docker exec "$(compose ps -q dask-scheduler)" widesweep status "/results/$name.zarr" --json | read_json 'x["blocks"]["done"]'; }
some_blocks() { [ "$(blocks_done)" -ge 2 ]; }
until_true 180 some_blocks
kill -0 "$sweep" || die "the sweep ended before a worker could be killed"
victim=$(docker ps -q --filter label=com.docker.compose.service=ray-worker | head -1)
docker kill "$victim" >/dev/null
echo "killed a worker after $(blocks_done) blocks"
wait "$sweep" || { tail -5 "$folder/run.log"; die "the sweep"; }
tail -3 "$folder/run.log"
cat "$folder/run.json"
[ "$(read_json 'x["cells"]["pending"] + x["cells"]["failed"]' <"$folder/run.json")" = 0 ] || die "cells are missing"

step "the analysis on the Dask worker, the same as on threads"
run analyze "/results/$name.zarr" --json >"$folder/threads.json" 2>/dev/null
run analyze "/results/$name.zarr" --scheduler tcp://dask-scheduler:8786 --json >"$folder/dask.json"
cmp "$folder/threads.json" "$folder/dask.json" || die "Dask and threads disagree"
read_json '"\n".join(f"{k:30}" + v["verdict"] for k, v in x["laws"].items())' <"$folder/dask.json"
[ "$(read_json '[k for k, v in x["laws"].items() if v["verdict"] == "inconsistent"]' <"$folder/dask.json")" = "[]" ] ||
    die "a law is inconsistent"

step "the report, and what lies in the volume"
run report "/results/$name.zarr"
docker run --rm -v "${COMPOSE_PROJECT_NAME}_results:/results" --entrypoint ls widesweep:test "/results" "/results/$name-report"

step "the same command again finds everything done"
run run "$config" "${settings[@]}" --store "results/$name.zarr" 2>&1 | tail -4

step "notebook server"
compose up -d notebook
until_true 60 healthy notebook 1
[ "$(curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:$NOTEBOOK_PORT/api/contents)" = 403 ] || die "the notebook server asks for no token"

step "a small sweep in the object store"
compose up -d s3
until_true 60 healthy s3 1
docker exec "$(compose ps -q dask-scheduler)" python -c 'import s3fs; s3fs.S3FileSystem().mkdir("sweeps")'
small=(--set grid.width='[16, 32]' --set grid.seed=2 --set training.steps=50 --set initialization.draws=1000)
run run configs/demo.yaml "${small[@]}" --store s3://sweeps/small.zarr --json | read_json 'x["cells"]'
run analyze s3://sweeps/small.zarr --scheduler tcp://dask-scheduler:8786 --json | read_json 'sorted(x["laws"])'

step "passed"
