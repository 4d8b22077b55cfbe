#!/usr/bin/env bash
# diffusers 0.42.1 with accelerate 1.15.0, torch 2.13.0: while a model loads in one thread, whatever another thread builds has
# no values.
#
# `from_pretrained` builds the model on the meta device and then reads the weights into it. accelerate does the first by
# replacing torch's `Module.register_parameter` for the whole process, not for the thread: a plain `torch.nn.Linear` that another
# thread builds meanwhile is on the meta device, too. Nothing is said there and then; the error comes later, when it is moved or
# called ("Cannot copy out of meta tensor; no data!"), and only if the two happened to meet. With low_cpu_mem_usage=False nothing
# is replaced. torch's own `with torch.device("meta")` holds for its thread alone.
#
# One would expect loading to touch nothing but what is loaded. A server that loads two pipelines at once, or builds a small
# network while one loads, needs one lock around all of that.
#
# Output seen:
#   beside from_pretrained:                          meta
#   beside from_pretrained, low_cpu_mem_usage=False: cpu
#   beside torch.device("meta"):                     cpu
#   afterwards:                                      cpu
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 diffusers==0.42.1 accelerate==1.15.0 transformers==5.24.0 numpy==2.2.6
cat >"$folder/load.py" <<'PY'
import threading

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config

begun, goes_on = threading.Event(), threading.Event()


class Slow(ModelMixin, ConfigMixin):
    """A model that takes its time to be built."""

    @register_to_config
    def __init__(self, width: int = 2):
        super().__init__()
        self.layer = torch.nn.Linear(width, width)
        begun.set()
        goes_on.wait()


def on_meta():
    with torch.device("meta"):
        begun.set()
        goes_on.wait()


def beside(name, work, expected):
    begun.clear(), goes_on.clear()
    other = threading.Thread(target=work)
    other.start()
    begun.wait()
    found = torch.nn.Linear(2, 2).weight.device.type
    goes_on.set()
    other.join()
    print(f"{name + ':':48} {found}")
    assert found == expected


goes_on.set()
Slow().save_pretrained("slow")
beside("beside from_pretrained", lambda: Slow.from_pretrained("slow"), "meta")
plainly = {"low_cpu_mem_usage": False}
beside("beside from_pretrained, low_cpu_mem_usage=False", lambda: Slow.from_pretrained("slow", **plainly), "cpu")
beside('beside torch.device("meta")', on_meta, "cpu")
found = torch.nn.Linear(2, 2).weight.device.type
print(f"{'afterwards:':48} {found}")
assert found == "cpu"
PY
cd "$folder"
venv/bin/python load.py
