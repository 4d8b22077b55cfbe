import numpy as np
import pytest

from loopanimate.motion.border import border_fade, touched_borders
from loopanimate.motion.curve import Motion
from loopanimate.motion.edits import drop_residue, scale
from loopanimate.motion.spline import spline_matrix
from tests.fields import close, curve, field_of


def test_drift_is_closed_and_a_stream_is_kept():
    drifted = field_of(curve(drift=0.01))
    assert not drifted.winding.any()
    assert np.allclose(drifted.ring[-1], drifted.ring[0])
    streaming = field_of(curve(layer=1, drift=0.1))
    assert streaming.turns == [1, 2] and not streaming.winding[0].any()
    assert np.allclose(2 * streaming.winding[1, 0], 0.1, atol=1e-6)


def test_a_small_thing_streams_too():
    displacement = np.zeros((35, 4, 12, 16), np.float32)
    displacement[:, 0, 3:9, 7] = 0.1 * np.arange(35)[:, None] / 34
    assert field_of(displacement).winding[0, 0, 3:9, 7].all()


def test_a_fast_stream_is_cross_faded_more_often_and_stays_continuous():
    field = field_of(curve(layer=1, reach=0.0, drift=0.29))
    assert field.turns[1] == 5 and field.reach <= 0.061
    before, weights = field.at(34 / 5 - 1e-4)
    after, restarted = field.at(34 / 5 + 1e-4)
    assert weights[1] > 0.999 and restarted[1] < 0.001
    assert np.allclose(before - field.winding, after, atol=1e-4)  # the phase that has all the weight becomes the later one


def test_a_fast_stream_changes_evenly_and_a_slow_one_eases():
    assert field_of(curve(layer=1, reach=0.0, drift=0.4)).even[1] > 0.8
    assert field_of(curve(layer=1, drift=0.1)).even[1] < 0.3


def test_time_is_periodic_and_has_no_pause():
    field = field_of(curve())
    assert np.allclose(field.at(3.3)[0], field.at(37.3)[0], atol=1e-6)
    fine = np.array([field.at(time)[0][0, :, 0, 0] for time in np.arange(0, 34, 0.25)])
    speed = np.linalg.norm(np.diff(np.vstack([fine, fine[:1]]), axis=0), axis=1)
    assert speed.max() / speed.min() < 1.1  # a circle runs at one speed, through the wrap too


def test_no_cell_folds_however_strong():
    displacement = 4 * curve(shape=(12, 12))
    displacement[:, 0] *= np.linspace(-12, 12, 12)
    field = field_of(displacement)
    assert 0 < np.abs(field.ring).max() < np.abs(displacement).max()
    assert (1 - np.gradient(field.ring[:, 0, 0], 1 / 12, axis=-1)).min() >= 0.2


def test_residue_beside_real_motion_is_put_to_rest_and_faint_motion_alone_is_not():
    def edit(first: float, second: float) -> tuple[Motion, Motion]:
        motion = close((curve(reach=first) + curve(layer=1, reach=second)).reshape(35, 2, 2, 12, 16))
        return motion, drop_residue(motion)

    motion, edited = edit(0.02, 0.003)
    assert np.array_equal(edited.ring[:, 0], motion.ring[:, 0]) and not edited.ring[:, 1].any()
    for reaches in ((0.004, 0.001), (0.02, 0.012)):
        motion, edited = edit(*reaches)
        layers = slice(0, 1 if reaches[1] < 0.006 else 2)
        assert np.array_equal(edited.ring[:, layers], motion.ring[:, layers])


def test_strength_scales_displacement():
    motion = close(curve(drift=0.1).reshape(35, 2, 2, 12, 16))
    assert np.array_equal(scale(motion, 0.5).unrolled(), motion.unrolled() / 2)


def test_upsampling_keeps_straight_lines():
    rows = spline_matrix(12, 300)
    centres = np.arange(12) + 0.5
    inner = slice(13, 287)
    assert np.allclose((rows @ centres)[inner], ((np.arange(300) + 0.5) * 12 / 300)[inner], atol=1e-4)
    assert np.allclose(rows.sum(1), 1, atol=1e-5)


def test_motion_fades_at_the_border():
    fade = border_fade(60, 90, 0.1)
    assert fade[0].max() < 0.05 and fade[:, -1].max() < 0.05 and fade[30, 45] == 1


@pytest.mark.parametrize(
    ("part", "borders"),
    [
        (np.s_[:, :], ((False, False), (False, False))),
        (np.s_[40:], ((True, False), (False, False))),
        (np.s_[:, 6:22], ((False, False), (True, True))),
    ],
)
def test_borders_that_a_mask_touches_are_found(part, borders):
    mask = np.zeros((96, 128), np.float32)
    mask[40:56, 6:22] = 1
    assert touched_borders(mask[part]) == borders
    assert touched_borders(0.2 + 0 * mask) == touched_borders(0 * mask)
