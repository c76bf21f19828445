#!/usr/bin/env bash
# Tests and timings on a machine with a CUDA device that has nothing prepared: no bootstrap, no network.
#
#   bash benchmarks/gpu_run.sh               every step that is not done yet
#   bash benchmarks/gpu_run.sh tests drive   only these
#   bash benchmarks/gpu_run.sh --list
#   bash benchmarks/gpu_run.sh packages train_data train_parser train_regressor train_lids
#   bash benchmarks/gpu_run.sh packages train_heads train_rar
#   bash benchmarks/gpu_run.sh packages train_data train_heads train_sega_identity train_sega_motion train_sega_decoders
#   bash benchmarks/gpu_run.sh packages kernels train_clips train_gagavatar
#
# The training steps run only when they are named. They make synthetic people on this machine and train the portrait
# networks and learned heads with the -gpu presets, in pieces: "to be continued" means call again. They need the portrait room's networks
# in ASSETS (default benchmarks/wheels/assets) beside the wheels. $OUT/train holds weights, model cards and logs; the
# crops (CROPS, SAMPLES, VALIDATION), the people (HEADS, PEOPLE) and the optimizer's state stay in benchmarks/out on the
# machine. train_gagavatar learns from prepared footage (FOOTAGE; train_clips fills it with CLIPS synthetic people) for
# GAGAVATAR_MINUTES in all; CONFIG names another configuration, for example with a backbone. Its weights come back in parts of
# at most 16 MB.
#
# Needs: a Python >= 3.11 with torch that sees the GPU (PYTHON=..., default python3), and numpy; nvcc of torch's
# CUDA version for gsplat's kernels (CUDA_HOME, default /usr/local/cuda). Packages may be carried as wheels:
# WHEELS=folder, default benchmarks/wheels; what is missing is installed from there into $OUT/site and from nowhere
# else. Each step takes less than nine minutes and leaves a mark in $STATE, so an interrupted run goes on where it was.
# Results: $OUT (default benchmarks/out): gpu.json, gpu.md, and one log a step; the last step, results, adds the tables to
# RESULTS (default benchmarks/RESULTS.md), of which a copy lies in $OUT, too: it is never "done", since more may come.
set -uo pipefail
cd "$(dirname "$0")/.."
OUT=$(mkdir -p "${OUT:-benchmarks/out}" && cd "${OUT:-benchmarks/out}" && pwd)
STATE=${STATE:-benchmarks/out/state}
RESULTS=${RESULTS:-benchmarks/RESULTS.md}
WHEELS=${WHEELS:-benchmarks/wheels}
PYTHON=${PYTHON:-python3}
SITE=${SITE:-benchmarks/out/site}
mkdir -p "$STATE" "$SITE"
SITE=$(cd "$SITE" && pwd)
export CUDA_HOME=${CUDA_HOME:-/usr/local/cuda}
export PATH="$SITE/bin:$CUDA_HOME/bin:$PATH"  # a carried ninja lies there
export PYTHONPATH="$SITE:$PWD${PYTHONPATH:+:$PYTHONPATH}"
export MAX_JOBS=${MAX_JOBS:-$(nproc)}
export TORCH_EXTENSIONS_DIR=${TORCH_EXTENSIONS_DIR:-$PWD/benchmarks/out/torch_extensions}
export NUMBA_CACHE_DIR=${NUMBA_CACHE_DIR:-$PWD/benchmarks/out/numba}
LIMIT=${LIMIT:-530}
STEPS=(packages kernels tests frames batches socket reconstruct gagavatar results)
TRAINING=(train_data train_parser train_regressor train_lids
    train_heads train_rar train_sega_identity train_sega_motion train_sega_decoders train_clips train_gagavatar)
ASSETS=${ASSETS:-benchmarks/wheels/assets}
CROPS=${CROPS:-benchmarks/out/crops}
HEADS=${HEADS:-benchmarks/out/heads}
RUNS=${RUNS:-benchmarks/out/train}
SAMPLES=${SAMPLES:-12000}
VALIDATION=${VALIDATION:-1024}
PEOPLE=${PEOPLE:-4000}
TRAIN_MINUTES=${TRAIN_MINUTES:-16}
FOOTAGE=${FOOTAGE:-benchmarks/out/footage}
CLIPS=${CLIPS:-2000}
GAGAVATAR_MINUTES=${GAGAVATAR_MINUTES:-160}
CONFIG=${CONFIG:-gagavatar-gpu}
[ -d "$ASSETS" ] && export GSHEAD_ASSETS=$ASSETS

packages() {
    # A wheel is installed only where its module is missing: the machine's own torch and numpy stay.
    "$PYTHON" - "$WHEELS" "$SITE" <<'PY'
import importlib.util, pathlib, subprocess, sys
wheels, site = map(pathlib.Path, sys.argv[1:])
modules = {  # module: (distribution, needed by)
    "numpy": ("numpy", "all"), "torch": ("torch", "all"), "llvmlite": ("llvmlite", "all"), "numba": ("numba", "all"),
    "msgspec": ("msgspec", "all"), "zmq": ("pyzmq", "all"), "safetensors": ("safetensors", "all"),
    "gsplat": ("gsplat", "all"), "triton": ("triton", "drive and batches; torch's CUDA builds bring it"), "jaxtyping": ("jaxtyping", "all"), "wadler_lindig": ("wadler-lindig", "jaxtyping"),
    "ninja": ("ninja", "kernels"), "packaging": ("packaging", "kernels"), "rich": ("rich", "kernels"),
    "markdown_it": ("markdown-it-py", "rich"), "mdurl": ("mdurl", "rich"), "pygments": ("pygments", "rich"),
    "pytest": ("pytest", "tests"), "pytest_timeout": ("pytest-timeout", "tests"), "iniconfig": ("iniconfig", "pytest"),
    "pluggy": ("pluggy", "pytest"), "hypothesis": ("hypothesis", "tests"), "sortedcontainers": ("sortedcontainers", "tests"),
    "scipy": ("scipy", "reconstruct"), "cv2": ("opencv-python-headless", "reconstruct"), "PIL": ("pillow", "reconstruct"),
    "platformdirs": ("platformdirs", "all"), "tyro": ("tyro", "socket"), "lz4": ("lz4", "socket"),
    "psutil": ("psutil", "socket"), "typing_extensions": ("typing-extensions", "all"),
    "shtab": ("shtab", "tyro"), "typeguard": ("typeguard", "tyro"), "docstring_parser": ("docstring-parser", "tyro"),
}
missing = [m for m in modules if importlib.util.find_spec(m) is None]
for m in missing:
    name = modules[m][0].replace("-", "_").lower()
    if any(w.name.replace("-", "_").lower().startswith(name + "_") for w in wheels.glob("*.whl")):
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--find-links",
                        str(wheels), "--target", str(site), modules[m][0]], check=False)
importlib.invalidate_caches()
left = [m for m in missing if importlib.util.find_spec(m) is None]
for m in left:
    print(f"missing: {m} ({modules[m][0]}, needed by {modules[m][1]}); put its wheel into {wheels}")
import torch
print("torch", torch.__version__, "cuda", torch.version.cuda, "device", torch.cuda.is_available() and torch.cuda.get_device_name(0))
if not torch.cuda.is_available():
    sys.exit("torch sees no CUDA device: nothing to do here")
sys.exit(1 if {"numpy", "gsplat"} & set(left) else 0)  # without numba, comparisons with the CPU are left out
PY
}

kernels() {
    "$PYTHON" - <<'PY'
import os, time
import torch
major, minor = torch.cuda.get_device_capability()
os.environ.setdefault("TORCH_CUDA_ARCH_LIST", f"{major}.{minor}")
start = time.perf_counter()
from gshead_backend.raster.gsplat_backend import require_cuda
require_cuda()
print(f"gsplat ready after {time.perf_counter() - start:.0f} s")
PY
}

has() { "$PYTHON" -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$1') is None)"; }

tests() {
    local config=()
    has pytest_timeout || config=(-c /dev/null --rootdir "$PWD")  # pyproject's options need the plug-in
    "$PYTHON" -m pytest -q -p no:cacheprovider "${config[@]}" -m gpu tests/raster tests/avatar/test_drive_capture.py || return 1
    if has zmq && has msgspec && has numba; then
        "$PYTHON" -m pytest -q -p no:cacheprovider "${config[@]}" tests/server/test_frame_pipeline.py || return 1
    fi
    if has numba; then
        "$PYTHON" -m pytest -q -p no:cacheprovider "${config[@]}" tests/raster tests/avatar/test_d*.py \
            tests/methods/gagavatar/test_training_raster.py
    fi
}
frames() {
    "$PYTHON" benchmarks/run.py --only frames --device cuda --out "$OUT/gpu.json" || return 1
    if has numba; then "$PYTHON" benchmarks/run.py --only frames --device cpu --sizes 20000 65000 --out "$OUT/gpu.json"; fi
}
batches() { "$PYTHON" benchmarks/run.py --only batches --device cuda --sizes 20000 65000 150000 --out "$OUT/gpu.json"; }
socket() { "$PYTHON" benchmarks/run.py --only socket --device cuda --out "$OUT/gpu.json"; }
reconstruct() { "$PYTHON" benchmarks/run.py --only reconstruct --device cuda --out "$OUT/gpu.json"; }

gagavatar() {
    # the golden judges our kernels on CUDA by gsplat's limits; the first failing tensor names the fault
    "$PYTHON" -m gshead_backend.methods.gagavatar.parity tests/methods/gagavatar/small.npz --device cuda || return 1
    "$PYTHON" benchmarks/run.py --only gagavatar --device cuda --out "$OUT/gpu.json"
}
results() { "$PYTHON" benchmarks/publish.py "$OUT/gpu.json" --to "$RESULTS" && cp "$RESULTS" "$OUT/RESULTS.md"; }

piece() { awk "BEGIN { print ($LIMIT - 110) / 60 }"; }  # minutes: the rest is for start, validation and saving
train_data() {
    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 "$PYTHON" -m gshead_backend.cli train data --data "$CROPS" \
        --samples "$SAMPLES" --validation "$VALIDATION" --workers "$(nproc)" --minutes "$(piece)" --json
}
train_heads() {
    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 "$PYTHON" -m gshead_backend.cli train heads --data "$HEADS" \
        --people "$PEOPLE" --validation 128 --workers "$(nproc)" --minutes "$(piece)" --json
}
# train NETWORK DATA COMMAND...: one piece; weights, card and log come back under $OUT/train
train() {
    local name=$1 data=$2
    shift 2
    local folder=$RUNS/$1
    [ $# -gt 1 ] && folder=$folder/${name#*_}
    "$PYTHON" -m gshead_backend.cli train "$@" --config "${name//_/-}-gpu" --data "$data" --out "$RUNS/$1" \
        --device cuda --minutes "$TRAIN_MINUTES" --piece-minutes "$(piece)" --json
    local code=$?
    mkdir -p "$OUT/train" && cp "$folder/$name.safetensors" "$folder/$name.md" "$OUT/train/" &&
        cp "$folder/log.jsonl" "$OUT/train/$name.jsonl" || return 1
    return $code
}
train_parser() { train parser "$CROPS" parser; }
train_regressor() {
    train regressor "$CROPS" regressor || return $?
    local made=$OUT/train/regressor.safetensors
    "$PYTHON" -m gshead_backend.cli train calibrate "$made" --data "$CROPS" --out "$made"
}
train_lids() { train lids "$CROPS" lids; }
train_rar() { train rar "$HEADS" rar; }
train_sega_identity() { train sega_identity "$CROPS" sega --stage identity; }
train_sega_motion() { train sega_motion "$CROPS" sega --stage motion; }
train_sega_decoders() {
    # they stand on the two networks before them, and on the portrait networks, in one folder
    mkdir -p "$RUNS/weights" && cp gshead_backend/weights/*.safetensors "$RUNS/weights/" &&
        cp "$RUNS"/sega/{identity,motion}/*.safetensors "$RUNS/weights/" || return 1
    GSHEAD_WEIGHTS=$RUNS/weights train sega_decoders "$HEADS" sega --stage decoders
}
train_clips() {
    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 "$PYTHON" -m gshead_backend.cli train clips --data "$FOOTAGE" \
        --people "$CLIPS" --validation 32 --workers "$(nproc)" --minutes "$(piece)" --json
}
train_gagavatar() {
    "$PYTHON" -m gshead_backend.cli train gagavatar --config "$CONFIG" --data "$FOOTAGE" --out "$RUNS/gagavatar" \
        --device cuda --minutes "$GAGAVATAR_MINUTES" --piece-minutes "$(piece)" --json
    local code=$?
    rm -rf "$OUT/train/gagavatar" && mkdir -p "$OUT/train" && cp -r "$RUNS/gagavatar/parts" "$OUT/train/gagavatar" &&
        cp "$RUNS/gagavatar/gagavatar.md" "$OUT/train/" && cp "$RUNS/gagavatar/log.jsonl" "$OUT/train/gagavatar.jsonl" ||
        return 1
    return $code
}

if [ "${1:-}" = --list ]; then
    printf '%s\n' "${STEPS[@]}" "${TRAINING[@]}"
    exit 0
fi
export -f has packages kernels tests frames batches socket reconstruct gagavatar results piece train "${TRAINING[@]}"
export OUT STATE RESULTS WHEELS PYTHON SITE LIMIT CROPS HEADS RUNS SAMPLES VALIDATION PEOPLE TRAIN_MINUTES FOOTAGE CLIPS
export GAGAVATAR_MINUTES CONFIG
failed=0
for step in "${@:-${STEPS[@]}}"; do
    if ! printf '%s\n' "${STEPS[@]}" "${TRAINING[@]}" | grep -qx "$step"; then
        echo "there is no step '$step'; steps: ${STEPS[*]} ${TRAINING[*]}" >&2
        exit 2
    fi
    if [ -e "$STATE/$step" ]; then
        echo "== $step: done before (remove $STATE/$step to repeat)"
        continue
    fi
    echo "== $step"
    start=$SECONDS
    timeout "$LIMIT" bash -c "$step" 2>&1 | tee "$OUT/$step.log"
    code=${PIPESTATUS[0]}
    if [ "$code" -eq 0 ]; then
        [ "$step" = results ] || touch "$STATE/$step"
        echo "== $step: done in $((SECONDS - start)) s"
    elif [ "$code" -eq 75 ]; then
        echo "== $step: to be continued after $((SECONDS - start)) s; call again"
        exit 75
    else
        echo "== $step: FAILED after $((SECONDS - start)) s, see $OUT/$step.log" >&2
        failed=1
        case $step in packages | kernels | train_data | train_heads | train_clips) break ;; esac
    fi
done
exit $failed
