"""The renderer on a GPU: torch draws a whole frame at a time, where `Renderer` draws tiles."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from loopanimate.motion.field import Field
from loopanimate.render.faces import sample_eyes
from loopanimate.render.reference import correlate, restore_contrast
from loopanimate.render.renderer import Renderer, _Layer, _Moved


class TorchRenderer(Renderer):
    """Frames as `Renderer` draws them, but for rounding, on `device`."""

    def __init__(self, image: np.ndarray, masks: Sequence[np.ndarray], field: Field, planar: bool, device: str | torch.device):
        super().__init__(image, masks, field, planar)
        self.device = device
        self.tensors = [[self._tensor(layer.planes) for layer in group.layers] for group in self.groups]
        self.means = [[self._tensor(layer.means) for layer in group.layers] for group in self.groups]
        apart = [
            np.hypot(*(self.rows @ winding @ self.columns * fade)) for winding, fade in zip(self.field.winding, self.fades)
        ]
        self.correlations = [self._tensor(correlate(part, self.sigma))[None] for part in apart]

    def _tensor(self, array: np.ndarray | None) -> torch.Tensor | None:
        return None if array is None else torch.from_numpy(array).to(self.device, torch.float32)

    @torch.inference_mode()
    def frame(self, time: float) -> np.ndarray:
        if not time % self.field.period or not any(self.field.moves):
            return super().frame(0)
        displacement, weights = self.field.at(time)
        moved = [self._move(*layer, time) for layer in zip(range(len(weights)), displacement, weights)]
        drawn = []
        for group in range(len(self.groups)):
            *front, shown = (self._show_whole(group, index, layer) for index, layer in enumerate(moved))
            for layer in reversed(front):
                shown = layer[:-1] + (1 - layer[-1:] / 255) * shown
            drawn.append(shown.round().clamp(0, 255).byte().cpu().numpy())
        if self.planar:
            return np.concatenate([planes.ravel() for planes in drawn]).reshape(-1, self.width)
        return np.ascontiguousarray(drawn[0].transpose(1, 2, 0))

    def _show_whole(self, group: int, index: int, moved: _Moved) -> torch.Tensor:
        """Draw the planes (C, H, W) of a layer, 0 to 255."""
        source, layer, ratio = self.tensors[group][index], self.groups[group].layers[index], self.groups[group].ratio
        if not moved.places:
            return source
        step, height, width = self.step // ratio, self.height // ratio, self.width // ratio

        def enlarge(part: torch.Tensor) -> torch.Tensor:  # (C, rows, columns) → (C, H, W)
            fine = F.interpolate(part[None], scale_factor=step, mode="bilinear", align_corners=False)[0]
            return fine[:, step : step + height, step : step + width]

        first, sides = (
            torch.tensor(pair, device=self.device).view(2, 1, 1) for pair in ((layer.left, layer.top), source.shape[:0:-1])
        )
        phases = []
        for place in moved.places:
            places = self._tensor(place)
            at = enlarge((places * 2 + 1 - ratio) / ratio) - first  # as in `kernels.sample`
            grid = ((at + 0.5) / sides * 2 - 1).permute(1, 2, 0)[None]
            shown = F.grid_sample(source[None], grid, padding_mode="border", align_corners=False)[0]
            phases.append(self._draw_eyes(shown, layer, moved, place, ratio))
        if len(phases) == 1:
            return phases[0]
        gain, mean = enlarge(restore_contrast(self.correlations[index], moved.weight)), self.means[group][index]
        return ((torch.lerp(*phases, moved.weight) - mean) * gain + mean).clamp(0, 255)

    def _draw_eyes(self, shown: torch.Tensor, layer: _Layer, moved: _Moved, places: np.ndarray, ratio: int) -> torch.Tensor:
        """Draw what few pixels eyes move as `Renderer` does, where a phase is sampled."""
        step = self.step // ratio
        for edges in moved.around:
            low, high = ([round(edge * self.short / ratio) for edge in edges[first : first + 2]] for first in (0, 2))
            left, top = (max(edge, 0) // step * step for edge in low)
            right, bottom = (min(edge, side) for edge, side in zip(high, shown.shape[:0:-1]))
            if left < right and top < bottom:
                part = shown[:, top:bottom, left:right]
                drawn = np.ascontiguousarray(part.round().clamp(0, 255).byte().cpu().numpy())
                where = places, self.step, ratio, self.short, moved.eyes
                sample_eyes(layer.planes, layer.top, layer.left, *where, drawn, top, bottom, left, right, top, left)
                part[:] = self._tensor(drawn)
        return shown
