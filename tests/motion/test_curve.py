import numpy as np
import pytest

from loopanimate.motion.border import ALL_BORDERS, border_ramp, touched_borders
from loopanimate.motion.field import MAX_WINDING, Field
from loopanimate.motion.spline import latent_grid, spline_matrix
from tests.fields import close
from tests.motion.motions import circle


def test_the_grid_keeps_the_aspect_in_multiples_of_four():
    assert [latent_grid(*size, 12) for size in ((512, 512), (1080, 1920), (2100, 900), (500, 520))] == [
        (12, 12),
        (12, 20),
        (28, 12),
        (12, 12),
    ]


def test_displacement_closes_to_a_ring_and_the_windings_of_what_streams():
    for drift, streams in ((0.1, True), (0.03, False)):
        motion = circle(drift=drift)
        closed = close(motion.unrolled())
        assert closed.streams(0) == streams and not closed.streams(1)
        assert np.allclose(closed.ring, motion.ring, atol=1e-6) and not closed.ring[-1].any()


def test_a_loop_begins_anywhere_on_the_same_curve():
    motion = circle(drift=0.2)
    begun = motion.begin_at(7)
    assert not begun.ring[0].any() and np.array_equal(begun.ring[0], begun.ring[-1])
    assert np.allclose(begun.ring[5], motion.ring[12] - motion.ring[7], atol=1e-7) and begun.winding is motion.winding


def test_a_part_moves_as_the_whole_does_there_in_short_sides_of_its_own():
    motion = circle(shape=(12, 20), drift=0.1)
    x = (np.arange(20) + 0.5) / 12
    uneven = motion.replace(0, motion.ring[:, 0] * np.sin(2 * x))
    part = (0.25, 0.0, 0.75, 1.0)
    cut = uneven.crop(part, (500, 600))  # of a picture of 1000 x 600
    assert cut.winding.shape[-2:] == latent_grid(600, 500, 12)
    assert cut.winding[0, 0].mean() == pytest.approx(0.1 * 600 / 500, rel=1e-5)
    whole = spline_matrix(12, 60) @ uneven.ring[10, 0, 0] @ spline_matrix(20, 100).T * 600
    seen = spline_matrix(cut.winding.shape[-2], 60) @ cut.ring[10, 0, 0] @ spline_matrix(cut.winding.shape[-1], 50).T * 500
    assert np.abs(seen - whole[:, 25:75])[:, 3:-3].max() < 0.01 * np.abs(whole).max()
    assert uneven.crop((0, 0, 1, 1), (1000, 600)) is uneven


def test_a_field_is_the_ring_between_frames_and_streams_in_short_cross_fades():
    motion = circle(drift=0.25)
    field = Field(motion, [ALL_BORDERS, ALL_BORDERS])
    assert field.turns == [5, 1] and np.abs(field.winding).max() <= MAX_WINDING
    displacement, weights = field.at(8.5)
    angle, phase = 2 * np.pi * 8.5 / 34, (5 * 8.5 / 34) % 1
    expected = 0.02 * (1 - np.cos(angle)) / 2 + phase * 0.05
    assert displacement[0, 0, 3, 3] == pytest.approx(expected, abs=1e-4) and not displacement[1].any()
    assert 0 <= weights[0] <= 1 and not field.at(34)[0].any()
    assert field.moves == [True, False] and field.reach == field.reaches[0]


def test_motion_fades_at_the_borders_that_a_layer_touches():
    mask = np.zeros((100, 100), np.float32)
    mask[40:, 30:60] = 1
    assert touched_borders(mask) == ((False, True), (False, False))
    ramp = border_ramp(np.linspace(0, 1, 101), 0.2, (False, True))
    assert ramp[0] == ramp[80] == 1 and ramp[100] == 0 and ramp[90] == pytest.approx(0.5)
