"""The renderer on a GPU: torch draws a whole frame at a time, where `Renderer` draws tiles."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from loopanimate.motion.field import Field
from loopanimate.render.reference import correlate, restore_contrast
from loopanimate.render.renderer import Renderer


class TorchRenderer(Renderer):
    """Frames as `Renderer` draws them, but for rounding, on `device`."""

    def __init__(self, image: np.ndarray, masks: Sequence[np.ndarray], field: Field, planar: bool, device: str | torch.device):
        super().__init__(image, masks, field, planar)
        self.device = device
        self.splines = self._tensor(self.rows), self._tensor(self.columns)
        self.points = self._tensor(self.x), self._tensor(self.y[:, None])
        self.torch_fades = [self._tensor(fade) for fade in self.fades]
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
        if not time % self.field.period or not (any(self.field.moves) or self.faces):
            return super().frame(0)
        self._draw_faces(time / self.field.period)
        displacement, weights = self.field.at(time)
        rows, columns = self.splines
        known = [
            [
                self._bend(
                    torch.stack(
                        [point - rows @ axis @ columns * fade for point, axis in zip(self.points, self._tensor(phase))]
                    ),
                    bends,
                )
                for phase in self._list_phases(index, displacement[index])
            ]
            for index, fade in enumerate(self.torch_fades)
            for bends in [self._list_bends(index, time)]
        ]
        drawn = []
        for group in range(len(self.groups)):
            *front, shown = (self._show_whole(group, index, *layer) for index, layer in enumerate(zip(known, weights)))
            for layer in reversed(front):
                shown = layer[:-1] + (1 - layer[-1:] / 255) * shown
            drawn.append(shown.round().clamp(0, 255).byte().cpu().numpy())
        if self.planar:
            return np.concatenate([planes.ravel() for planes in drawn]).reshape(-1, self.width)
        return np.ascontiguousarray(drawn[0].transpose(1, 2, 0))

    def _bend(self, known: torch.Tensor, bends: list) -> torch.Tensor:
        """Take what faces do off the places (2, rows, columns) of a layer, as `kernels.bend` does."""
        for field, box in bends:
            low, high = torch.tensor(box, device=self.device, dtype=torch.float32).view(2, 2, 1, 1)
            grid = ((known - low) / (high - low) * 2 - 1).permute(1, 2, 0)[None]
            known = known - F.grid_sample(self._tensor(field)[None], grid, padding_mode="zeros", align_corners=True)[0]
        return known

    def _draw_faces(self, share: float) -> None:
        known = {
            id(layer.planes): tensor
            for group, tensors in zip(self.groups, self.tensors)
            for layer, tensor in zip(group.layers, tensors)
        }
        for face in self.faces:
            for top, bottom, left, right in face.draw(share, self._run):
                changed = np.ascontiguousarray(face.planes[:, top:bottom, left:right])
                known[id(face.planes)][:, top:bottom, left:right] = self._tensor(changed)

    def _show_whole(self, group: int, index: int, known: list[torch.Tensor], weight: float) -> torch.Tensor:
        """Draw the planes (C, H, W) of a layer, 0 to 255."""
        source, layer, ratio = self.tensors[group][index], self.groups[group].layers[index], self.groups[group].ratio
        if not known:
            return source
        step, height, width = self.step // ratio, self.height // ratio, self.width // ratio

        def enlarge(part: torch.Tensor) -> torch.Tensor:  # (C, rows, columns) → (C, H, W)
            fine = F.interpolate(part[None], scale_factor=step, mode="bilinear", align_corners=False)[0]
            return fine[:, step : step + height, step : step + width]

        first, sides = (
            torch.tensor(pair, device=self.device).view(2, 1, 1) for pair in ((layer.left, layer.top), source.shape[:0:-1])
        )
        phases = []
        for places in known:
            at = enlarge((places * 2 + 1 - ratio) / ratio) - first  # as in `kernels.sample`
            grid = ((at + 0.5) / sides * 2 - 1).permute(1, 2, 0)[None]
            phases.append(F.grid_sample(source[None], grid, padding_mode="border", align_corners=False)[0])
        if len(phases) == 1:
            return phases[0]
        gain, mean = enlarge(restore_contrast(self.correlations[index], weight)), self.means[group][index]
        return ((torch.lerp(*phases, weight) - mean) * gain + mean).clamp(0, 255)
