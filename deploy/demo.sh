#!/usr/bin/env bash
# From end to end: train on MovieLens 100K, serve the model, rank three of user 42's movies and some for a stranger, stop.
# `make demo` runs it. The model stays in models/, to go on with.
#
# usage: deploy/demo.sh [PORT]
set -euo pipefail

port=${1:-50061}
models_dir=models
ready_timeout=${DEMO_READY_TIMEOUT:-120} # seconds; loading takes a few
stop_timeout=${DEMO_STOP_TIMEOUT:-60}
server=
log=$(mktemp)

main() {
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    cd "$(dirname "${BASH_SOURCE[0]}")/.."
    command -v rankserve >/dev/null || fail "rankserve is not installed: run this as \`make demo\`"

    run rankserve train --models-dir "$models_dir"
    start_server
    run rankserve rank --server "127.0.0.1:$port" --user 42 204 141 131
    run rankserve rank --server "127.0.0.1:$port" --history 50=5 --history 172=5 --history 258=2 --top-k 3
    stop_server
    echo "The model is in $models_dir/. To go on with it: .venv/bin/rankserve serve --models-dir $models_dir"
}

run() {
    echo "\$ $*"
    "$@"
}

start_server() {
    echo "\$ rankserve serve --models-dir $models_dir --port $port &"
    rankserve serve --models-dir "$models_dir" --port "$port" >"$log" 2>&1 &
    server=$!
    local deadline=$((SECONDS + ready_timeout))
    until grep '^rankserve ready on ' "$log"; do
        is_running || fail_with_log "the server stopped before it was ready"
        ((SECONDS < deadline)) || fail_with_log "the server was not ready after $ready_timeout s"
        sleep 0.2
    done
}

stop_server() {
    run kill -TERM "$server"
    local deadline=$((SECONDS + stop_timeout))
    while is_running; do
        if ((SECONDS >= deadline)); then
            kill -KILL "$server"
            fail_with_log "the server was still running $stop_timeout s after SIGTERM"
        fi
        sleep 0.1
    done
    local status=0
    wait "$server" || status=$?
    server=
    ((status == 0)) || fail_with_log "the server exited with status $status"
}

is_running() {
    [[ -n $server ]] && kill -0 "$server" 2>/dev/null
}

fail() {
    echo "demo: $1" >&2
    exit 1
}

fail_with_log() {
    echo "demo: $1; it printed:" >&2
    cat "$log" >&2
    exit 1
}

# However the script ends: no server is left behind.
clean_up() {
    if is_running; then
        kill -TERM "$server" 2>/dev/null || true
        local deadline=$((SECONDS + 5))
        while is_running && ((SECONDS < deadline)); do sleep 0.1; done
        kill -KILL "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -f "$log"
}

main
