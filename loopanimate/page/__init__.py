"""The page. Only this package and app.py import gradio."""

try:
    import spaces  # of ZeroGPU; it has to be imported before torch
except ImportError:
    spaces = None
