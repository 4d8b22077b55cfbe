"""Measures of a loop (train/METHOD.md §6): Table 2's, and the seam's, which take the exported ring without the duplicate frame."""

import numpy as np


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two uint8 pictures, in dB; infinite where equal."""
    error = np.mean((first.astype(np.float64) - second) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def seam(frames: np.ndarray) -> dict[str, float]:
    """Seam step, seam jerk and seam pause of a ring of frames (K, H, W, 3).

    Step is the change into frame 0 and jerk the second differences that span the wrap, the larger of the two, each
    mean absolute and over the 95th percentile of all other places: at most 1.25 is no seam. Pause is the step over
    the 5th percentile: below 1 the loop stops there.
    """
    ring = frames.astype(np.float32)
    count = len(ring)
    steps = np.array([np.abs(ring[(k + 1) % count] - ring[k]).mean() for k in range(count)])
    # the second difference at k spans k-1, k, k+1: the wrap lies inside those at the last frame and at frame 0
    jerks = np.array([np.abs(ring[(k + 1) % count] - 2 * ring[k] + ring[k - 1]).mean() for k in range(count)])
    tiny = 1e-6
    return {
        "step": float(steps[-1] / max(np.percentile(steps[:-1], 95), tiny)),
        "jerk": float(max(jerks[0], jerks[-1]) / max(np.percentile(jerks[1:-1], 95), tiny)),
        "pause": float(steps[-1] / max(np.percentile(steps[:-1], 5), tiny)),
    }


def is_seamless(measures: dict[str, float]) -> bool:
    """Is what `seam` measured no seam?"""
    return measures["step"] <= 1.25 and measures["jerk"] <= 1.25 and measures["pause"] >= 1


def clip_i(embeddings: np.ndarray, picture: np.ndarray) -> float:
    """CLIP-I: mean cosine of each frame's CLIP image embedding (N, d) and the picture's (d,)."""
    return float(_cosine(embeddings, picture[None]).mean())


def frame_consistency(embeddings: np.ndarray) -> float:
    """FC: mean cosine of the embeddings (N, d) of consecutive frames."""
    return float(_cosine(embeddings[:-1], embeddings[1:]).mean())


def loop_consistency(embeddings: np.ndarray) -> float:
    """Loop-C: cosine of the embeddings of the first and the last of N frames."""
    return float(_cosine(embeddings[:1], embeddings[-1:])[0])


def mse_f0(first: np.ndarray, picture: np.ndarray) -> float:
    """MSE_F0: mean squared error of the first frame against the picture, both (H, W, 3) uint8, on 0-255."""
    return float(np.mean((first.astype(np.float64) - picture) ** 2))


def motion(frames: np.ndarray) -> float:
    """Motion: 1 - mean SSIM of each later frame against the first; frames (N, H, W, 3) uint8."""
    from skimage.metrics import structural_similarity

    return float(1 - np.mean([structural_similarity(frames[0], frame, channel_axis=-1) for frame in frames[1:]]))


def _cosine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    first, second = (values / np.linalg.norm(values, axis=-1, keepdims=True) for values in (first, second))
    return (first * second).sum(-1)
