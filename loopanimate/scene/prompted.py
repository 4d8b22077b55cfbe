"""Where a thing is, asked in words: CLIPSeg (Lüddecke and Ecker, 2022) in place of the bundled model's classes."""

import cv2
import numpy as np
import torch
from PIL import Image
from transformers import CLIPSegForImageSegmentation, CLIPSegProcessor

from loopanimate.scene.regions import refine


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
