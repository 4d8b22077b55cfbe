from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from loopanimate.files.sizes import count_rounds, cover, cover_box, find_centre, frame_times, inside, output_size, surround


def test_times():
    assert frame_times(35, Fraction(8)) == list(range(34)) and frame_times(3, Fraction(8)) == [0, 1]
    assert frame_times(9, Fraction(8), tempo=2.0) == [0, 2, 4, 6]
    assert len(frame_times(9, Fraction(8), tempo=0.5)) == 16 and len(frame_times(35, Fraction(60))) == 255


def test_sizes():
    assert output_size("source", 451, 300) == (451, 300) and output_size("640x360", 1, 1) == (640, 360)
    assert output_size("4K", 1, 1) == output_size("4k", 1, 1) == (3840, 2160)
    for wrong in ("huge", "0x9", "31x100", "100x1601", "100x5000", "7682x7682", "12", "²x²", f"{'1' * 5000}x9"):
        with pytest.raises(ValueError, match="expected a size"):
            output_size(wrong, 1, 1)


def test_cover_cuts_picture_and_mask_alike():
    picture = Image.fromarray(np.repeat(np.arange(100, dtype=np.uint8)[None, :, None], 100, 0).repeat(3, 2))
    mask = np.repeat((np.arange(100, dtype=np.float32) / 99)[None], 100, 0)
    part, (layer,) = cover(picture, [mask], (50, 100), cover_box(mask, (50, 100)))
    assert part.size == (50, 100) and layer.shape == (100, 50)
    assert np.allclose(np.asarray(part)[50, :, 0] / 99, layer[50], atol=0.02)
    assert 41 <= np.asarray(part)[50, 0, 0] <= 43  # around the mask, which is brighter to the right


def test_the_mask_is_in_the_middle_of_the_cut():
    mask = np.zeros((100, 300), np.float32)
    mask[40:60, 200:220] = 1
    assert cover_box(mask, (100, 100)) == (160, 0, 260, 100)
    mask[40:60, 280:300] = 20
    assert cover_box(mask, (100, 100)) == (200, 0, 300, 100)  # no farther than the picture reaches
    assert cover_box(mask, (600, 200)) == (0, 0, 300, 100)
    assert cover_box(0 * mask, (100, 100)) == (100, 0, 200, 100)  # nothing moves


def test_what_moves_nearly_everywhere_leaves_the_cut_to_the_subject():
    sky, boat, lighthouse = np.zeros((3, 60, 100), np.float32)
    sky[:20], boat[40:50, 10:20], lighthouse[10:50, 80:90] = 1, 1, 1
    assert find_centre(boat, lighthouse) == pytest.approx((0.15, 0.75))  # what the sentence names is seen
    assert find_centre(sky) == pytest.approx((0.5, 1 / 6))
    assert find_centre(sky, lighthouse) == pytest.approx((0.85, 1 / 6))  # the sky is at all places of a row alike
    assert find_centre(boat + lighthouse, np.zeros((3, 5))) == find_centre(boat + lighthouse)


def test_masks_may_be_smaller_than_their_picture():
    mask = np.zeros((10, 30), np.float32)
    mask[4:6, 20:22] = 1
    box = cover_box(mask, (50, 50), (300, 100))
    assert box == (160, 0, 260, 100)
    picture = Image.fromarray(np.kron(mask, np.ones((10, 10))).astype(np.uint8) * 255).convert("RGB")
    part, (layer,) = cover(picture, [mask], (50, 50), box)
    assert np.abs(np.asarray(part)[..., 0] / 255 - layer).mean() < 0.02 and layer.max() > 0.9


def test_rounding_never_cuts_beyond_the_picture():
    mask = np.ones((300, 451), np.float32)
    mask[:, :400] = 0
    for size in [(960, 540), *((wide, high) for wide in range(30, 1000, 17) for high in range(30, 600, 7))]:
        left, top, right, bottom = cover_box(mask, size)
        assert 0 <= left < right <= 451 and 0 <= top < bottom <= 300, size


def test_a_picture_shown_whole_is_within_the_size():
    assert inside((1920, 1080), 300, 300) == (1080, 1080) and inside((1080, 1920), 451, 300) == (1080, 718)
    assert inside((640, 360), 1280, 720) == (640, 360)
    assert inside((167, 340), 379, 107) == (166, 48)  # of an odd side, the even one before it
    around = np.asarray(surround(Image.new("RGB", (300, 200), (200, 100, 50)), (640, 640)), int)
    assert around.shape == (640, 640, 3) and np.abs(around - [120, 60, 30]).max() <= 3


def test_a_destination_that_pauses_at_each_wrap_gets_a_minute():
    assert count_rounds("Lively", 1, Fraction(17, 4)) == 15 and count_rounds("lively", 20, Fraction(17, 4)) == 20
    assert count_rounds("4k", 1, Fraction(17, 4)) == 1
