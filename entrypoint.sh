#!/bin/sh
# The entry point of the container image. The first argument is its role:
#
#   worker                        RunPod's worker (the default); further arguments go to handler.py
#   serve                         the HTTP API with its page, queue and worker (docs/self-hosting.md)
#   load-balancing                the same for a load-balancing endpoint of RunPod (docs/runpod.md):
#                                 listens at PORT, and at PORT_HEALTH for /ping
#   work                          a worker of a queue (docs/cluster.md)
#   doctor render fetch ...       the commands of `multitalk`
#   health                        whether it is well, for HEALTHCHECK: its process lives, its disk has
#                                 room, a server answers
#   anything else                 is run as it stands
#
# Before one of these three starts, what would stop it later is looked at: it is told in one line
# each, and only what cannot work ends the container. It replaces this shell, so signals reach it.
set -eu

home=$(cd "$(dirname "$0")" && pwd)
volume=/runpod-volume
model_store=/runpod/model-store/huggingface
state=${TMPDIR:-/tmp}/multitalk-worker.pid
result_bytes=268435456 # RESULT_BYTES of job/self_test.py

say() { echo "entrypoint: $*" >&2; }
fail() { say "$*"; exit 1; }

free_mb() { df -Pm "$1" | awk 'NR == 2 { print $4 }'; }

# An operator's number of bytes, or the default where it is not set (a wrong one the worker refuses).
bytes_of() { case "$1" in '' | *[!0-9]*) echo "$2" ;; *) echo "$1" ;; esac; }

# What the worker itself wants free before it takes a job: disk_needed of job/self_test.py, in MiB.
needed_mb() {
    image=$(bytes_of "${MULTITALK_MAX_IMAGE_BYTES:-}" 33554432)
    visual=$(bytes_of "${MULTITALK_MAX_VIDEO_BYTES:-}" 536870912)
    audio=$(bytes_of "${MULTITALK_MAX_AUDIO_BYTES:-}" 536870912)
    [ "$visual" -ge "$image" ] || visual=$image
    echo $(((visual + audio + result_bytes) / 1048576))
}

work_directory() { echo "${MULTITALK_WORK_DIRECTORY:-${TMPDIR:-/tmp}}"; }

check_work_directory() { # $1: MiB that must be free
    directory=$(work_directory)
    [ -d "$directory" ] && [ -w "$directory" ] ||
        fail "$directory cannot be written by user $(id -u): set MULTITALK_WORK_DIRECTORY to a place that can"
    free=$(free_mb "$directory")
    [ "$free" -ge "$1" ] ||
        fail "$directory has $free MB free, $1 may be needed: enlarge the container's disk, set" \
            "MULTITALK_WORK_DIRECTORY, or lower MULTITALK_MAX_VIDEO_BYTES and MULTITALK_MAX_AUDIO_BYTES"
}

check_results() {
    [ -n "${MULTITALK_VOLUME:-}" ] || return 0
    mkdir -p "$MULTITALK_VOLUME" 2>/dev/null || true
    [ -w "$MULTITALK_VOLUME" ] ||
        fail "MULTITALK_VOLUME=$MULTITALK_VOLUME cannot be written by user $(id -u): once, from a pod with the" \
            "volume, mkdir -p it and chown it to $(id -u):$(id -g), or run the container as root"
}

check_gpu() {
    [ "${IMAGE_TARGET:-cpu}" = gpu ] || return 0
    if ! nvidia-smi --list-gpus >/dev/null 2>&1; then
        say "no GPU is visible (docker run --gpus all): only the warp engine can run"
    fi
}

has_files() { [ -d "$1" ] && [ -n "$(ls -A "$1" 2>/dev/null)" ]; }

# A repository that RunPod keeps for the endpoint, if it holds the set; weights/directory_search.py has the same paths.
cached_model() {
    for place in "$volume"/huggingface-cache/hub/models--*/snapshots/* "$model_store"/*/*/*; do
        if [ -d "$place" ] && multitalk fetch "$1" --offline --to "$place" >/dev/null 2>&1; then
            echo "$place"
            return 0
        fi
    done
    return 1
}

check_weights() {
    [ "${IMAGE_TARGET:-cpu}" = gpu ] || return 0
    if [ -n "${FETCH_WEIGHTS:-}" ] && [ -z "${MULTITALK_WEIGHTS:-}" ] && place=$(cached_model "$FETCH_WEIGHTS"); then
        say "$FETCH_WEIGHTS is in $place: nothing to fetch"
        export MULTITALK_WEIGHTS="$place"
        return 0
    fi
    if [ -n "${FETCH_WEIGHTS:-}" ]; then
        if [ -z "${MULTITALK_WEIGHTS:-}" ]; then
            MULTITALK_WEIGHTS=$HOME/weights
            if [ -d "$volume" ]; then MULTITALK_WEIGHTS=$volume/multitalk/weights; fi
            export MULTITALK_WEIGHTS
        fi
        say "fetching $FETCH_WEIGHTS to $MULTITALK_WEIGHTS"
        multitalk fetch "$FETCH_WEIGHTS" ||
            fail "the weights could not be fetched; without FETCH_WEIGHTS the worker starts without them"
        return 0
    fi
    for place in "${MULTITALK_WEIGHTS:-}" "$volume"/huggingface-cache/hub/models--*/snapshots/* "$model_store"/*/*/* \
        "$volume/multitalk/weights" "$home/weights" "${HF_HOME:-}/hub"; do
        if [ -n "$place" ] && has_files "$place"; then return 0; fi
    done
    say "no weights found: only the warp engine can run (FETCH_WEIGHTS=int8-fusionx fetches 31.5 GB at the start)"
}

# What runs here, for `health`: a process id, and of a server the address that is asked.
note() {
    rm -f "$state"
    (umask 077 && set -C && echo "$*" >"$state") || fail "$state cannot be written by user $(id -u)"
}

# Reads it: $pid, $url. A link is ignored, and so is anything but a number.
noted() {
    pid='' url=''
    if [ -f "$state" ] && [ ! -L "$state" ]; then read -r pid url <"$state" || true; fi
    case "$pid" in '' | 0* | *[!0-9]*) return 1 ;; esac
}

is_alive() { noted && kill -0 "$pid" 2>/dev/null; }

# A command beside a server, as by `docker exec`, does not take its place.
note_command() { is_alive || (note $$) 2>/dev/null || true; }

# Where a server listens, by its options; nothing where the system chooses the port.
server_url() {
    host=127.0.0.1 port=8000
    while [ $# -gt 0 ]; do
        case "$1" in
        --host) host=${2:-} ;;
        --host=*) host=${1#--host=} ;;
        --port) port=${2:-} ;;
        --port=*) port=${1#--port=} ;;
        esac
        shift
    done
    case "$host" in '' | 0.0.0.0) host=127.0.0.1 ;; ::) host="[::1]" ;; *:*) host="[$host]" ;; esac
    [ "$port" = 0 ] || echo "http://$host:$port"
}

answers() {
    python -c 'import sys, urllib.request as web
web.build_opener(web.ProxyHandler({})).open(sys.argv[1], timeout=5)' "$1" 2>/dev/null
}

health() {
    noted || fail "nothing is known to run here ($state)"
    kill -0 "$pid" 2>/dev/null || fail "the process $pid of this container is gone"
    # A job in work has taken its part already, but for what is made of it.
    check_work_directory $((result_bytes / 1048576))
    [ -z "$url" ] || answers "$url/healthz" || fail "the server does not answer at $url/healthz"
}

become() {
    command -v python >/dev/null || fail "python is not on the PATH"
    note $$
    check_work_directory "$(needed_mb)"
    check_results
    check_gpu
    check_weights
    [ "$role" != serve ] || note $$ "$(server_url "$@")"
    exec "$@"
}

role=${1:-worker}
case "$role" in
worker)
    [ $# -eq 0 ] || shift
    become python -u "$home/handler.py" "$@"
    ;;
load-balancing)
    shift
    role=serve port=${PORT:-80}
    become multitalk serve --host 0.0.0.0 --port "$port" --health-port "${PORT_HEALTH:-$port}" "$@"
    ;;
serve | work) become multitalk "$@" ;;
health) health ;;
doctor | evaluate | faces | fetch | inspect | keys | render | visemes | voices)
    note_command
    exec multitalk "$@"
    ;;
*)
    note_command
    exec "$@"
    ;;
esac
