"""LoopAnimate: a picture, a sentence and a mask become a seamless loop."""


def __getattr__(name: str):
    # torch and diffusers take seconds to import: `import loopanimate` itself must not, for the page to answer at once.
    if name == "load_pipeline":
        from loopanimate.checkpoints import load_pipeline

        return load_pipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
