"""Frames of a moving picture, at any size and time."""
