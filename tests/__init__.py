import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # torch's threads do not spin beside a browser and a server on few cores
os.environ.setdefault("MKL_DISABLE_FAST_MM", "1")  # as the product does, for tests that import torch first
