"""LoopAnimate: a picture, a sentence and a mask become a seamless loop."""

import os

# Threads that spin while they wait for each other make everything several times slower beside other busy processes. OpenMP
# reads this when torch is imported: GNU's counts turns, LLVM's and Intel's milliseconds.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
os.environ.setdefault("KMP_BLOCKTIME", "1")


def __getattr__(name: str):
    # torch and diffusers take seconds to import: `import loopanimate` itself must not, for the page to answer at once.
    if name == "load_pipeline":
        from loopanimate.checkpoints import load_pipeline

        return load_pipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
