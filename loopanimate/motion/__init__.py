"""How layers move: the closed curve, its edits, where a loop begins."""
