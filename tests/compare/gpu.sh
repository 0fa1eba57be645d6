#!/usr/bin/env bash
# Everything that a GPU has to show, in one go and in one JSON: parity with the CPU, steps against PyTorch, memory, loading, k-means.
#
#   tests/compare/gpu.sh --program target/release/medcoss --device cuda --out gpu.json
#   tests/compare/gpu.sh --program target/debug/medcoss --device wgpu --out dry.json --dry-run
#
# Needs python3 with PyTorch (left out, and said so, where it is missing) and nvidia-smi for the memory. With --dry-run sizes are tiny, so that a
# software GPU (Mesa's lavapipe) runs all of it in minutes; PyTorch then computes on the CPU. A part that fails is named in the JSON, and the rest
# goes on: the time of a lent GPU is short.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=target/release/medcoss device=cuda out=gpu.json dry_run=
while [ $# -gt 0 ]; do
    case $1 in
        --program) program=$2; shift 2 ;;
        --device) device=$2; shift 2 ;;
        --out) out=$2; shift 2 ;;
        --dry-run) dry_run=1; shift ;;
        *) echo "unknown argument $1" >&2; exit 2 ;;
    esac
done
program=$(realpath "$program")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=()

# part NAME COMMAND...: the JSON that the command prints becomes the part NAME.
part() {
    local name=$1 began=$SECONDS
    shift
    if ! "$@" > "$work/$name.json" 2> "$work/$name.err"; then
        failed+=("$name")
        printf '%s failed: %s\n' "$name" "$(tail -n 3 "$work/$name.err")" >&2
    fi
    printf '%-40s %4d s\n' "$name" $((SECONDS - began)) >&2
}

if [ -n "$dry_run" ]; then
    preset=demo batches="2 4" steps=5 points="--points 500 --dims 32 --clusters 10 --iterations 3 --runs 1" torch_device=cpu compile=
    precisions=float32 images=40 side=64 training_batch=8
else
    preset=vit-base batches="64 256" steps=64 points="--points 356000 --dims 768 --clusters 3560 --iterations 10 --runs 3" torch_device=$device compile=--compile
    precisions="float32 bfloat16" images=2048 side=224 training_batch=128
fi

for precision in $precisions; do
    part "parity-$precision" python3 "$here/devices.py" --program "$program" --device "$device" --precision "$precision"
done

# Steps, by turns with PyTorch: images, volumes (16 x 192 x 192), text. The device's memory is watched meanwhile.
if command -v nvidia-smi > /dev/null; then
    nvidia-smi --query-gpu=name,clocks.sm,memory.total,driver_version --format=csv,noheader > "$work/gpu.txt"
fi
has_torch=
python3 -c 'import torch' 2> /dev/null && has_torch=1
peak_memory() {
    command -v nvidia-smi > /dev/null || return 0
    while sleep 0.5; do nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits; done > "$work/$1.memory" &
    watcher=$!
}
for batch in $batches; do
    for precision in $precisions; do
        for what in images volumes text; do
            case $what in
                images) sizes="--tokens 196 --token-values 768" ;;
                volumes) sizes="--tokens 144 --token-values 4096" ;;
                text) sizes="--tokens 112 --vocabulary 28996" ;;
            esac
            watcher=
            peak_memory "step-$what-$batch-$precision"
            # shellcheck disable=SC2086
            part "step-$what-$batch-$precision" "$program" bench step --preset $preset --batch "$batch" $sizes \
                --precision "$precision" --device "$device" --steps $steps --json
            [ -n "$watcher" ] && kill "$watcher"
            # shellcheck disable=SC2086
            [ -n "$has_torch" ] && part "torch-$what-$batch-$precision" python3 "$here/step.py" --preset $preset --batch "$batch" $sizes \
                --precision "$precision" --device $torch_device --steps $steps $compile
        done
    done
done

# A stage from files: does the loader keep up? Seconds in which training waited for a batch, by epoch.
loading() {
    cd "$work" || return 1
    "$program" synth --modality xray --samples $images --out xray > /dev/null || return 1
    cat > run.toml <<CONFIG
[model]
preset = "$preset"
[training]
epochs = 3
batch_size = $training_batch
precision = "${precisions##* }"
[data]
num_workers = $(nproc)
[[stage]]
modality = "xray"
data = "xray"
options = { size = $side }
CONFIG
    "$program" pretrain run.toml --out run --device "$device" --quiet > /dev/null || return 1
    python3 -c 'import json; print(json.dumps([json.loads(line) for line in open("run/stages/01-xray/timing.jsonl")]))'
}
part loading loading

# shellcheck disable=SC2086
part kmeans-device "$program" bench kmeans $points --device "$device" --json
# shellcheck disable=SC2086
part kmeans-cpu "$program" bench kmeans $points --device cpu --json

python3 - "$work" "$out" "$device" "${dry_run:-0}" "${failed[@]}" <<'PYTHON'
import json, sys
from pathlib import Path

work, out, device, dry_run, *failed = Path(sys.argv[1]), *sys.argv[2:]
found = {"device": device, "dry_run": dry_run == "1", "failed": {name: (work / f"{name}.err").read_text()[-2000:] for name in failed}}
if (work / "gpu.txt").exists():
    found["gpu"] = (work / "gpu.txt").read_text().strip()
for path in sorted(work.glob("*.json")):
    try:
        found[path.stem] = json.loads(path.read_text().splitlines()[-1] if path.stem.startswith("torch") else path.read_text())
    except ValueError:
        found[path.stem] = path.read_text()[-2000:]
for path in work.glob("*.memory"):
    found[path.stem]["peak_device_mib"] = max(map(int, path.read_text().split()), default=None)
for name in [name for name in found if name.startswith("step-")]:
    peer = found.get("torch" + name[4:])
    if isinstance(peer, dict) and isinstance(found[name], dict):
        found[name]["speed_against_torch"] = peer["median_seconds"] / found[name]["median_seconds"]
Path(out).write_text(json.dumps(found, indent=2) + "\n")
print(f"{'part':32} {'samples/s':>10} {'torch':>10} {'ratio':>6}")
for name in sorted(name for name in found if name.startswith("step-") and isinstance(found[name], dict)):
    peer = found.get("torch" + name[4:], {})
    ratio = found[name].get("speed_against_torch")
    print(f"{name:32} {found[name]['samples_per_second']:10.1f} {peer.get('samples_per_second', float('nan')):10.1f} {ratio or float('nan'):6.2f}")
print(f"written: {out}; failed: {', '.join(failed) or 'nothing'}")
sys.exit(1 if failed else 0)
PYTHON
