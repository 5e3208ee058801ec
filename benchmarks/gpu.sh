#!/usr/bin/env bash
# What only a GPU shows, within ten minutes: tests on the device, bf16 and f16 against f32, speed with
# and without files, a batch of 200, two processes, and memory that does not suffice.
#
#     bash benchmarks/gpu.sh                       on cuda:0; writes benchmarks/gpu.json, docs/gpu.md
#     bash benchmarks/gpu.sh --small --device cpu  rehearses it in two minutes, and writes nothing
#     bash benchmarks/gpu.sh batch memory          only these parts, and writes nothing
#
# A part that fails or takes too long does not stop the others; it is named on the page, and the exit
# status is 1. PYTHON: the interpreter. LIMIT: seconds in all. OUT: a folder that gets page, results and
# log. On a machine without a network, see benchmarks/gpu/carry.py.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-.venv/bin/python}
[ -n "${PYTHON:-}" ] || [ -x "$python" ] || python=python3
end=$((SECONDS + ${LIMIT:-570}))
parts="memory closeness network files batch together tests"
device=cuda:0 small=() chosen=()
while [ $# -gt 0 ]; do
    case $1 in
    --device) device=${2:?--device needs a name} && shift ;;
    --small) small=(--small) ;;
    *)
        if [[ " $parts " != *" $1 "* ]]; then
            echo "got $1; expected --device NAME, --small, or parts: $parts" >&2
            exit 2
        fi
        chosen+=("$1")
        ;;
    esac
    shift
done

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export PYTHONPATH="$PWD/src:$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
if [ -d runs/carried ] && ! "$python" -c 'import cyclopts, openvino, pyvips' 2>/dev/null; then
    "$python" -c 'import shutil, sys; shutil.unpack_archive(*sys.argv[1:])' \
        runs/carried/site.tar.xz "$folder/site"
    ENLARGE_COMMIT=$(cat runs/carried/commit)
    export PYTHONPATH="$PYTHONPATH:$folder/site" ENLARGE_COMMIT
fi
export ENLARGE_PREPARE=off ENLARGE_CACHE="$folder/cache"

log=$folder/gpu.log
page() {
    "$python" -m benchmarks.gpu page --folder "$folder" "${small[@]}" "$@" >"$folder/page.log" 2>&1 ||
        tee -a "$log" <"$folder/page.log"
    if [ -n "${OUT:-}" ]; then
        for file in gpu.json gpu.md gpu.log; do
            [ ! -f "$folder/$file" ] || cp "$folder/$file" "$OUT/"
        done
    fi
}

failed=0
part() { # NAME SECONDS
    local begun=$SECONDS status=0 left=$((end - SECONDS))
    local seconds=$(($2 < left ? $2 : left))
    if [ "$seconds" -lt 5 ]; then
        status=124
    else
        echo "$1 …" | tee -a "$log"
        timeout --kill-after=5 "$seconds" "$python" -m benchmarks.gpu "$1" --folder "$folder" \
            --device "$device" "${small[@]}" 2>&1 | tee -a "$log" || status=${PIPESTATUS[0]}
    fi
    printf '%s\t%s\t%s\n' "$1" "$status" "$((SECONDS - begun))" >>"$folder/status.tsv"
    [ "$status" -eq 0 ] || failed=1
    page
}

declare -A budget=(
    [memory]=60 [closeness]=70 [network]=130 [files]=100 [batch]=80 [together]=60 [tests]=90
)
part about 30
if [ "$failed" -eq 0 ]; then # else there is no such device
    for name in $parts; do
        if [ ${#chosen[@]} -eq 0 ] || [[ " ${chosen[*]} " == *" $name "* ]]; then
            part "$name" "${budget[$name]}"
        fi
    done
    if [ ${#small[@]} -eq 0 ] && [ ${#chosen[@]} -eq 0 ] && [ "$device" != cpu ]; then page --write; fi
fi
cat "$folder/gpu.md"
exit "$failed"
