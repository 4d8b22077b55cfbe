#!/usr/bin/env bash
# torch 2.13.0 (CPU): a bfloat16 convolution with stride 2 is wrong where its result is one column wide.
#
# Seen on processors with AMX (Intel's since Sapphire Rapids; `amx_bf16` in /proc/cpuinfo), where torch hands the convolution to
# oneDNN's AMX kernels. A picture of 8 x 2, 3 x 3 taps, stride 2, padding 1, 96 channels, a batch of 8: about half of the values
# are nonsense, errors as large as the values themselves, NaN or 1e36 now and then, as if memory was read that nobody had
# written. Wider pictures, stride 1, float32, the same call without oneDNN, and oneDNN kept from AMX
# (ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16) are right to bfloat16's precision.
#
# One would expect a rounding error. A U-Net that halves a narrow latent (a tall picture) meets it in its last downsampler, and
# one NaN there is a NaN everywhere. Keeping strided convolutions in float32 avoids it and costs next to nothing.
#
# Output seen:
#   8 x 2, with oneDNN:          wrong
#   8 x 2, without oneDNN:       right
#   8 x 2, without AMX:          right
#   8 x 4, with oneDNN:          right
set -euo pipefail
if ! grep -q amx_bf16 /proc/cpuinfo; then
  echo "not run: this processor has no AMX"
  exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.2.6
cat >"$folder/convolve.py" <<'PY'
import sys

import torch
import torch.nn.functional as F

width, onednn, expected = int(sys.argv[1]), sys.argv[2] == "with", sys.argv[3]
torch.manual_seed(0)
picture, taps = torch.randn(8, 96, 8, width).bfloat16(), (torch.randn(96, 96, 3, 3) / 96).bfloat16()
right = F.conv2d(picture.float(), taps.float(), stride=2, padding=1)
torch._C._set_mkldnn_enabled(onednn)
off = (F.conv2d(picture, taps, stride=2, padding=1).float() - right).abs().nan_to_num(nan=torch.inf).max().item()
found = "right" if off < 0.01 else "wrong"
print(found)
assert found == expected, off
PY
cd "$folder"
run() {
  printf '8 x %s, %-24s' "$1" "$2:"
  ONEDNN_MAX_CPU_ISA=$3 venv/bin/python convolve.py "$1" "$4" "$5"
}
run 2 "with oneDNN" ALL with wrong
run 2 "without oneDNN" ALL without right
run 2 "without AMX" AVX512_CORE_BF16 with right
run 4 "with oneDNN" ALL with right
