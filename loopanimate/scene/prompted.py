"""Networks from elsewhere that look at a picture in place of the bundled model's classes.

Where a thing is, asked in words: CLIPSeg (Lüddecke and Ecker, 2022). How near all is: Depth Anything (Yang et al., 2024).
"""

import cv2
import numpy as np
import torch
from PIL import Image
from transformers import CLIPSegForImageSegmentation, CLIPSegProcessor, DepthAnythingForDepthEstimation, DPTImageProcessorPil

from loopanimate.scene.regions import refine

RANGE = 0.01, 0.99  # quantiles of inverse depth that are the farthest and the nearest


class Prompted:
    """A model and its processor; `checkpoints.load_regions_model` loads them."""

    def __init__(self, model: CLIPSegForImageSegmentation, processor: CLIPSegProcessor):
        self.model, self.processor = model.eval(), processor

    @torch.inference_mode()
    def __call__(self, picture: Image.Image, words: str) -> np.ndarray:
        """How likely each place is what words name, (h, w) float32 in [0, 1], on the model's own square grid."""
        inputs = self.processor(text=[words], images=[picture], truncation=True, return_tensors="pt")
        logits = self.model(**inputs.to(self.model.device)).logits
        likely = logits.reshape(logits.shape[-2:]).sigmoid().cpu().numpy()  # (1, h, w) → (h, w)
        small = picture.resize(likely.shape[::-1], Image.Resampling.LANCZOS, reducing_gap=2.0)
        return refine(likely, cv2.cvtColor(np.asarray(small, np.float32) / 255, cv2.COLOR_RGB2GRAY))


class DepthModel:
    """A model and its processor; `checkpoints.load_depth_model` loads them."""

    def __init__(self, model: DepthAnythingForDepthEstimation, processor: DPTImageProcessorPil):
        self.model, self.processor = model.eval(), processor

    @torch.inference_mode()
    def __call__(self, picture: Image.Image) -> np.ndarray:
        """Inverse depth (h, w) float32 in [0, 1], 0 the farthest and 1 the nearest, on the model's own grid."""
        inputs = self.processor(images=[picture], return_tensors="pt")
        # (h, w), of unknown scale and origin
        depth = self.model(**inputs.to(self.model.device)).predicted_depth[0].cpu().numpy()
        far, near = np.quantile(depth, RANGE)
        return np.clip((depth - far) / max(near - far, 1e-6), 0, 1).astype(np.float32)
