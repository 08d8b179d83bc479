# A Docker engine for the tests: the one that answers, or a private one that is stopped again.
#
#   source engine.sh; engine_start FOLDER; …; engine_stop
#
# Where no engine answers and this is root on Debian, Docker is installed and runs with every file of its
# own under FOLDER. engine_stop ends it by its process id and takes back what it did to the network.

ENGINE_PID=""

engine_start() {
    if docker info >/dev/null 2>&1; then return; fi
    [ "$(id -u)" = 0 ] || { echo "skipped: no Docker engine answers, and only root can start one" >&2; exit 77; }
    if ! command -v dockerd >/dev/null || ! command -v debootstrap >/dev/null; then
        command -v apt-get >/dev/null || { echo "skipped: no Docker engine, and no apt-get to install one" >&2; exit 77; }
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            docker.io docker-compose debootstrap iptables >/dev/null
    fi
    mkdir -p "$1"
    rm -f "$1/docker.pid"
    iptables-save >"$1/iptables.before"
    sysctl -n net.ipv4.ip_forward >"$1/ip_forward.before"
    export DOCKER_HOST="unix://$1/docker.sock"
    dockerd --data-root "$1/data" --exec-root "$1/exec" -H "$DOCKER_HOST" -p "$1/docker.pid" >"$1/dockerd.log" 2>&1 &
    ENGINE_PID=$! ENGINE_FOLDER=$1
    for _ in $(seq 120); do
        if docker info >/dev/null 2>&1; then return; fi
        kill -0 "$ENGINE_PID" 2>/dev/null || break
        sleep 0.5
    done
    tail -5 "$1/dockerd.log" >&2
    echo "skipped: dockerd does not start on this machine" >&2
    engine_stop
    exit 77
}

engine_stop() {
    [ -n "$ENGINE_PID" ] || return 0
    kill "$ENGINE_PID" 2>/dev/null || true
    wait "$ENGINE_PID" 2>/dev/null || true
    ip link delete docker0 2>/dev/null || true
    for table in filter nat; do # a table that was not there before is emptied
        grep -q "^\*$table" "$ENGINE_FOLDER/iptables.before" && continue
        iptables -t "$table" -F && iptables -t "$table" -X || true
        [ "$table" = nat ] || iptables -P FORWARD ACCEPT
    done
    iptables-restore <"$ENGINE_FOLDER/iptables.before" || true
    sysctl -qw "net.ipv4.ip_forward=$(cat "$ENGINE_FOLDER/ip_forward.before")" || true
    ENGINE_PID=""
}

# Compose, version 2 where it is there, else 1.29.
compose() {
    if docker compose version >/dev/null 2>&1; then docker compose "$@"; else docker-compose "$@"; fi
}
