#!/bin/sh
# What a container of ours does. The first argument is its role:
#
#   worker                        RunPod's worker (the default); further arguments go to handler.py
#   serve                         the HTTP API with its page, queue and worker (docs/self-hosting.md)
#   work                          a worker of a queue (docs/cluster.md)
#   doctor render fetch ...       the commands of `multitalk`
#   health                        whether the container's worker is well, for HEALTHCHECK
#   anything else                 is run as it stands
#
# Before one of these three starts, what would stop it later is looked at: it is told in one line
# each, and only what cannot work ends the container. It replaces this shell, so signals reach it.
set -eu

home=$(cd "$(dirname "$0")" && pwd)
volume=/runpod-volume
state=${TMPDIR:-/tmp}/multitalk-worker.pid
result_bytes=268435456 # RESULT_BYTES of job/readiness.py

say() { echo "entrypoint: $*" >&2; }
fail() { say "$*"; exit 1; }

free_mb() { df -Pm "$1" | awk 'NR == 2 { print $4 }'; }

# An operator's number of bytes, or the default where it is not set (a wrong one the worker refuses).
bytes_of() { case "$1" in '' | *[!0-9]*) echo "$2" ;; *) echo "$1" ;; esac; }

# What the worker itself wants free before it takes a job: disk_needed of job/readiness.py, in MiB.
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

check_weights() {
    [ "${IMAGE_TARGET:-cpu}" = gpu ] || return 0
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
    for place in "${MULTITALK_WEIGHTS:-}" "$volume/multitalk/weights" "$home/weights" "${HF_HOME:-}/hub"; do
        if [ -n "$place" ] && has_files "$place"; then return 0; fi
    done
    say "no weights found: only the warp engine can run (FETCH_WEIGHTS=int8-fusionx fetches 31.5 GB at the start)"
}

health() {
    # A worker that ended has ended its container, so this is about one that cannot go on.
    [ -f "$state" ] || exit 0
    kill -0 "$(cat "$state")" 2>/dev/null || fail "the worker is gone"
    # A job in work has taken its part already, but for what is made of it.
    check_work_directory $((result_bytes / 1048576))
}

become() {
    command -v python >/dev/null || fail "python is not on the PATH"
    check_work_directory "$(needed_mb)"
    check_results
    check_gpu
    check_weights
    echo $$ >"$state"
    exec "$@"
}

case "${1:-worker}" in
worker)
    [ $# -eq 0 ] || shift
    become python -u "$home/handler.py" "$@"
    ;;
serve | work) become multitalk "$@" ;;
health) health ;;
doctor | evaluate | faces | fetch | inspect | keys | render | visemes | voices) exec multitalk "$@" ;;
*) exec "$@" ;;
esac
