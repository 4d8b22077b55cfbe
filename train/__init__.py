"""Training of LoopAnimate: data, stages, trainer and evaluation. Stands on `loopanimate`, never the other way."""
