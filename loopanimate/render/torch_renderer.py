"""The renderer on a GPU: what `Renderer` draws tile by tile, drawn in torch, a whole frame at a time."""

import numpy as np
import torch
import torch.nn.functional as F

from loopanimate.motion.field import ALIKE, MEAN_SIGMA
from loopanimate.render.renderer import Renderer


class TorchRenderer(Renderer):
    """Frames as `Renderer` makes them, but for rounding, on `device`."""

    def __init__(self, image: np.ndarray, mask: np.ndarray, field, planar: bool, device: torch.device):
        super().__init__(image, mask, field, planar)
        self.device = device
        self.splines = [self._tensor(part) for part in (self.rows, self.columns, *self.fades)]
        self.places = self._tensor(self.x), self._tensor(self.y)[:, None]
        self.sources = [[self._tensor(layer) for layer in (group.layer, group.plate)] for group in self.groups]
        self.means = [[None if mean is None else self._tensor(mean) for mean in group.means] for group in self.groups]

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self.device, torch.float32)

    @torch.inference_mode()
    def frame(self, time: float) -> np.ndarray:
        if not time % self.field.period or not any(self.field.moves):
            return super().frame(0)
        displacement, weights = self.field.at(time)
        rows, columns, *fades = self.splines
        places = []
        for index, fade in enumerate(fades):
            fields = (self._tensor(part) for part in self._fields(index, displacement))
            places.append(
                [
                    torch.stack([axis - rows @ part @ columns * fade for axis, part in zip(self.places, field)])
                    for field in fields
                ]
            )
        planes = []
        for group, sources, means in zip(self.groups, self.sources, self.means):
            over, under = (self._whole(group.ratio, *layer) for layer in zip(sources, means, places, weights))
            shown = over[:-1] + (1 - over[-1:] / 255) * under
            planes.append(shown.round().clamp(0, 255).byte().cpu().numpy())
        if self.planar:
            return np.concatenate([plane.reshape(-1) for plane in planes]).reshape(-1, self.width)
        return np.ascontiguousarray(planes[0].transpose(1, 2, 0))

    def _whole(
        self, ratio: int, source: torch.Tensor, mean: torch.Tensor | None, places: list[torch.Tensor], weight: float
    ) -> torch.Tensor:
        """A layer's planes (C, H / ratio, W / ratio), 0 to 255."""
        if not places:
            return source
        step, (height, width) = self.step // ratio, (self.height // ratio, self.width // ratio)

        def enlarged(part: torch.Tensor) -> torch.Tensor:  # (C, rows, columns) → (C, height, width)
            fine = F.interpolate(part[None], scale_factor=step, mode="bilinear", align_corners=False)[0]
            return fine[:, step : step + height, step : step + width]

        sides = torch.tensor([2 * width, 2 * height], device=self.device).view(2, 1, 1)
        moved = []
        for place in places:
            # a plane's pixel i stands on i + (ratio - 1) / 2 of the frame's, and its source's 2i shows it at rest
            at = (enlarged((place - (ratio - 1) / 2) * (2 / ratio)) + 0.5) / sides * 2 - 1
            grid = at.permute(1, 2, 0)[None]
            moved.append(F.grid_sample(source[None], grid, padding_mode="border", align_corners=False)[0])
        if len(moved) == 1:
            return moved[0]
        apart = torch.linalg.vector_norm(places[0] - places[1], dim=0, keepdim=True)
        alike = torch.exp(-ALIKE * MEAN_SIGMA / self.short * apart)
        gain = enlarged(1 / torch.sqrt((1 - weight) ** 2 + weight**2 + 2 * weight * (1 - weight) * alike))
        return ((torch.lerp(*moved, weight) - mean) * gain + mean).clamp(0, 255)
