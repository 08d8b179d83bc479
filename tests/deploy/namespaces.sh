#!/usr/bin/env bash
# Three hosts on one machine, each a network namespace with an address of its own: a Ray head and two workers.
# One worker's cable is pulled in mid-sweep and put back; the store must end whole, and equal to that of an
# undisturbed run, bit for bit.
#
#   tests/deploy/namespaces.sh
#
# Exit code 77 and a word why: this machine cannot make network namespaces.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/deploy/checks.sh
[ "$(id -u)" = 0 ] || skip "network namespaces need root"
command -v ip >/dev/null || skip "no ip command (iproute2)"
ip netns add widesweep-probe 2>/dev/null || skip "this machine makes no network namespaces"
ip netns delete widesweep-probe
export PATH=${WIDESWEEP_BIN:-$PWD/.venv/bin}:$PATH

folder=$(mktemp -d)
net=10.231.77
hosts=(head one two)
declare -A address=([head]=$net.10 [one]=$net.11 [two]=$net.12)
on() { ip netns exec "widesweep-$1" "${@:2}"; } # HOST COMMAND…
finish() {
    code=$?
    set +e
    [ "$code" = 0 ] || tail -n 25 "$folder"/*.log
    for host in "${hosts[@]}"; do
        ip netns pids "widesweep-$host" 2>/dev/null | xargs -r kill -9 2>/dev/null
        ip netns delete "widesweep-$host" 2>/dev/null
    done
    ip link delete widesweep0 2>/dev/null
    iptables -D FORWARD -i widesweep0 -o widesweep0 -j ACCEPT 2>/dev/null
    rm -rf "$folder"
    exit "$code"
}
trap finish EXIT

step "three hosts"
ip link add widesweep0 type bridge
ip link set widesweep0 up
# An engine on this machine may have set the policy of forwarding to drop.
iptables -I FORWARD -i widesweep0 -o widesweep0 -j ACCEPT 2>/dev/null || true
for host in "${hosts[@]}"; do
    ip netns add "widesweep-$host"
    ip link add "ws-$host" type veth peer name eth0 netns "widesweep-$host"
    ip link set "ws-$host" master widesweep0 up
    ip -n "widesweep-$host" address add "${address[$host]}/24" dev eth0
    ip -n "widesweep-$host" link set lo up
    ip -n "widesweep-$host" link set eth0 up
done

export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$folder/token RAY_USAGE_STATS_ENABLED=0
export RAY_health_check_initial_delay_ms=1000 RAY_health_check_period_ms=1000 RAY_health_check_timeout_ms=1000 RAY_health_check_failure_threshold=3
(umask 077; head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$folder/token")
ray_node() { # HOST OPTION…
    on "$1" unshare --uts sh -c 'hostname "$0"; exec "$@"' "$1" \
        ray start --node-ip-address "${address[$1]}" --object-store-memory 200000000 --temp-dir "$folder/ray" "${@:2}" >>"$folder/$1.log" 2>&1
}
ray_node head --head --port 6379 --num-cpus 0 --include-dashboard=false
ray_node one --address "${address[head]}:6379" --num-cpus 1
ray_node two --address "${address[head]}:6379" --num-cpus 1
alive() { # how many hosts Ray counts as alive
    on head python -c '
import ray, sys
ray.init(address=sys.argv[1], logging_level="ERROR", log_to_driver=False)
print(sum(node["Alive"] for node in ray.nodes()))' "${address[head]}:6379" 2>/dev/null
}
has() { [ "$(alive)" = "$1" ]; }
until_true 60 has 3

cp configs/demo.yaml "$folder/"
cd "$folder"
sweep=(--set 'grid.width=[64, 128, 256]' --set 'grid.depth=[1, 2]' --set grid.seed=8 --set training.steps=1500 --set initialization.draws=20000)

step "a sweep, and a cable pulled"
on head widesweep run demo.yaml "${sweep[@]}" --address "${address[head]}:6379" --store cut.zarr >run.log 2>&1 &
driver=$!
until_true 180 at_least cut.zarr 2
ip -n widesweep-two link set eth0 down
echo "cut off after $(blocks_done cut.zarr) blocks"
until_true 90 has 2
before=$(blocks_done cut.zarr)
until_true 180 at_least cut.zarr $((before + 1))
echo "$(blocks_done cut.zarr) blocks while it was away"

step "brought back"
ip -n widesweep-two link set eth0 up
# What was running there has been given up by the head: the host starts anew, as its service manager would.
ip netns pids widesweep-two | xargs -r kill -9 2>/dev/null || true
ray_node two --address "${address[head]}:6379" --num-cpus 1
until_true 60 has 3
wait "$driver" || die "the driver left with $?"
widesweep status cut.zarr
grep -h 'lost' run.log || true

step "beside an undisturbed run"
widesweep run demo.yaml "${sweep[@]}" --store whole.zarr >whole.log 2>&1
same_numbers whole.zarr cut.zarr

step "passed"
