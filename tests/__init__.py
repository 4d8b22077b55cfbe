import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # torch's threads do not spin beside a browser and a server on few cores
