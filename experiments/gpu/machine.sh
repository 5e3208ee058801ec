#!/usr/bin/env bash
# On the lent machine: keep the packs and the carried wheels of this call, then run it.
set -euo pipefail
export KEPT=${KEPT:-/tmp/kept} VIPS_CONCURRENCY=1 OMP_NUM_THREADS=1
mkdir -p "$KEPT/packs" "$KEPT/site"
for pack in runs/gpu/*/; do
    if [ -f "$pack/pictures.bin" ]; then cp -r "$pack" "$KEPT/packs/"; fi
done
for wheel in runs/gpu/one/wheels/*.whl; do
    if [ -f "$wheel" ]; then python3 -m zipfile -e "$wheel" "$KEPT/site"; fi
done
export PYTHONPATH="src:.:$KEPT/site" PACKS="$KEPT/packs"
exec python3 -m experiments.gpu.calls "$@"
