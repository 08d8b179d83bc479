#!/usr/bin/env bash
# `widesweep submit slurm` on a real Slurm of two nodes: a sweep over both; a node set down in mid-job; a time
# limit that is hit. Each time the store must end whole, and equal to that of an undisturbed run, bit for bit.
#
#   tests/deploy/slurm.sh
#
# Both nodes are this machine. Slurm and munge are installed where they are missing and this is root on
# Debian; all their files lie in a folder of this test, and every daemon ends by its process id.
# Exit code 77 and a word why: this machine cannot run Slurm.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/deploy/checks.sh
root=$PWD
[ "$(id -u)" = 0 ] || skip "Slurm's daemons need root"
if ! command -v slurmctld >/dev/null || ! command -v munged >/dev/null; then
    command -v apt-get >/dev/null || skip "no Slurm, and no apt-get to install it"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge; } >/dev/null ||
        skip "Slurm and munge could not be installed"
fi
export PATH=${WIDESWEEP_BIN:-$root/.venv/bin}:$PATH

folder=$(mktemp -d)
chmod 755 "$folder"
pids=()
finish() {
    code=$?
    set +e
    [ "$code" = 0 ] || tail -n 25 "$folder"/job/results/*.log "$folder"/slurmctld.log 2>/dev/null
    if [ -f "$folder/slurm.conf" ]; then # never another cluster's jobs
        export SLURM_CONF=$folder/slurm.conf
        timeout 10 scancel --quiet --user root 2>/dev/null
        for _ in $(seq 20); do [ -z "$(timeout 10 squeue -h 2>/dev/null)" ] && break; sleep 0.5; done
    fi
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
    for pid in "${pids[@]}"; do for _ in $(seq 40); do kill -0 "$pid" 2>/dev/null || break; sleep 0.25; done; done
    rm -rf "$folder" /tmp/widesweep-{1,2,3}
    exit "$code"
}
trap finish EXIT

step "two nodes"
mkdir -p "$folder"/{munge,state,spool/n1,spool/n2,job}
head -c 1024 /dev/urandom >"$folder/munge/key"
chmod 600 "$folder/munge/key"
chown -R munge: "$folder/munge"
runuser -u munge -- munged --socket "$folder/munge/socket" --key-file "$folder/munge/key" \
    --pid-file "$folder/munge/pid" --log-file "$folder/munge/log" --seed-file "$folder/munge/seed"
pids+=("$(cat "$folder/munge/pid")")
cat >"$folder/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$(hostname)(127.0.0.1)
SlurmctldPort=17100
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CryptoType=crypto/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool/%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
KillWait=10
MpiDefault=none
NodeName=n[1-2] NodeHostname=$(hostname) NodeAddr=127.0.0.1 Port=[17001-17002] CPUs=1 RealMemory=4000
PartitionName=main Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$folder/slurm.conf
slurmctld -D >/dev/null 2>&1 & pids+=($!)
slurmd -D -N n1 >/dev/null 2>&1 & pids+=($!)
slurmd -D -N n2 >/dev/null 2>&1 & pids+=($!)
two_idle() { [ "$(sinfo -h -o %D -t idle)" = 2 ]; }
until_true 60 two_idle
sinfo

cp configs/demo.yaml "$folder/job/"
cd "$folder/job"
# Many blocks, so that there is something to interrupt.
sweep=(--set 'grid.width=[64, 128, 256]' --set 'grid.depth=[1, 2]' --set grid.seed=8 --set training.steps=2000 --set initialization.draws=20000)
over() { case "$(scontrol show job "$1" | sed -n 's/.*JobState=\([A-Z]*\).*/\1/p')" in COMPLETED | FAILED | CANCELLED | TIMEOUT | NODE_FAIL) ;; *) return 1 ;; esac; }
# A requeued job waits two minutes for its nodes to be clean. Ours are once the steps of its last start are gone;
# before that a step of the next start, which has the same number, would be killed with them.
clean() { ! pgrep -f "slurmstepd: \[$1\." >/dev/null; }
over_hurried() { over "$1" || { [ "$(state "$1")" != PENDING ] || ! clean "$1" || scontrol update jobid="$1" starttime=now; false; }; }
requeued() { [ "$(restarts "$job")" -ge 1 ]; }
state() { scontrol show job "$1" | sed -n 's/.*JobState=\([A-Z]*\).*/\1/p'; }
restarts() { scontrol show job "$1" | sed -n 's/.*Restarts=\([0-9]*\).*/\1/p'; }
submit() { # STORE OPTION…
    local store=$1; shift
    widesweep submit slurm demo.yaml --nodes 2 --cpus-per-node 1 "$@" "${sweep[@]}" --store "$store" >"$folder/submitted"
    cat "$folder/submitted" >&2
    sed -n 's/^job //p' "$folder/submitted"
}
whole() { # STORE JOB
    [ "$(state "$2")" = COMPLETED ] || die "job $2 is $(state "$2")"
    [ -s "${1%.zarr}-report/index.html" ] || die "no report beside $1"
    widesweep status "$1"
}

step "a sweep over both nodes"
job=$(submit results/whole.zarr --time 20)
until_true 1200 over "$job"
whole results/whole.zarr "$job"
grep -h '^==' "results/whole-slurm-$job.log"
grep -q '2 of 2 nodes joined' "results/whole-slurm-$job.log" || die "one node only"

step "a node set down in mid-job"
job=$(submit results/down.zarr --time 20)
until_true 600 at_least results/down.zarr 3
scontrol update nodename=n2 state=down reason=test
echo "node down after $(blocks_done results/down.zarr) blocks"
until_true 120 requeued
until_true 120 clean "$job"
scontrol update nodename=n2 state=idle
until_true 1200 over_hurried "$job"
whole results/down.zarr "$job"
grep -h '^==' "results/down-slurm-$job.log"
same_numbers results/whole.zarr results/down.zarr

step "a time limit"
# The driver is stopped after three blocks, so that a fast machine is not done before the limit comes, and goes on
# once the job has heard of the limit.
drivers() { pgrep -f "widesweep run .*$1"; }
near_limit() { grep -q 'time limit is near' "results/limit-slurm-$job.log"; }
job=$(submit results/limit.zarr --time 20)
until_true 600 at_least results/limit.zarr 3
kill -STOP $(drivers limit.zarr)
echo "limit set after $(blocks_done results/limit.zarr) blocks"
seconds=$(($(date +%s) - $(date +%s -d "$(scontrol show job "$job" | sed -n 's/.*StartTime=\([^ ]*\).*/\1/p')")))
scontrol update jobid="$job" timelimit=$((seconds / 60 + 4))
until_true 600 near_limit
kill -CONT $(drivers limit.zarr)
until_true 180 requeued
scontrol update jobid="$job" timelimit=20
until_true 1200 over_hurried "$job"
whole results/limit.zarr "$job"
grep -h '^==' "results/limit-slurm-$job.log"
same_numbers results/whole.zarr results/limit.zarr

step "passed"
