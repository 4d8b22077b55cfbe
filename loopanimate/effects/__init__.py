"""Light and weather over a loop: plain data that is closed in phase, made of words and a picture."""
