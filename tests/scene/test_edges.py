import cv2
import numpy as np
import pytest
from PIL import Image

from loopanimate.scene.edges import fill_outlines, find_areas, leave_out_thin, sharpen, to_lab
from loopanimate.scene.layers import separate

SKY, TOWER, TWIG, WISP = (150, 190, 235), (120, 80, 60), (30, 25, 25), (185, 210, 240)
HEIGHT, WIDTH = 300, 400


def paint(shapes, seed=0):
    """A sky with shapes of a colour, (left, top, right, bottom, colour), and the noise of a camera."""
    pixels = np.full((HEIGHT, WIDTH, 3), SKY, np.float32)
    for left, top, right, bottom, colour in shapes:
        pixels[top:bottom, left:right] = colour
    pixels += np.random.default_rng(seed).normal(0, 3, pixels.shape)
    return to_lab(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)))


@pytest.mark.parametrize("off", [-7, 7])
def test_an_edge_moves_to_where_colours_change(off):
    lab = paint([(150, 100, 250, HEIGHT, TOWER)])
    truth, mask = np.ones((2, HEIGHT, WIDTH), np.float32)
    truth[100:, 150:250] = mask[100 - off :, 150 - off : 250 + off] = 0
    found = sharpen(mask, lab)
    assert np.abs(mask - truth).sum() > 3000 and np.abs(found - truth).sum() < 100
    beyond = cv2.erode((mask != cv2.blur(mask, (3, 3))).astype(np.uint8) ^ 1, np.ones((30, 30)))
    assert np.array_equal(found[beyond > 0], mask[beyond > 0])  # only near the edge


def test_where_colours_say_nothing_a_mask_stays():
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    mask[:, :200] = 1
    assert (np.abs(sharpen(mask, paint([])) - mask) < 0.5).all()
    for all_of_it in (mask * 0, mask * 0 + 1):
        assert np.array_equal(sharpen(all_of_it, paint([])), all_of_it)


def test_branches_are_left_out_of_the_sky_and_dark_clouds_are_not():
    lab = paint(
        [(40, 50, 43, 250, TWIG), (40, 150, 180, 152, TWIG), (250, 100, 350, 103, WISP), (250, 200, 350, 260, (90, 90, 110))]
    )
    mask, likely = np.ones((2, HEIGHT, WIDTH), np.float32)
    likely[30:270, 30:190] = 0.6  # the finder sees something there
    found = leave_out_thin(mask, lab, likely)
    assert found[60:240, 41].max() < 0.1 and found[151, 60:170].max() < 0.1
    assert found[101, 250:350].min() == 1  # a stripe of cloud, of which it is sure
    assert found[200:260, 250:350].min() == 1  # dark, but not thin
    assert found[20, 200] == found[60, 60] == 1


def draw_figure():
    """A drawing in lines: a figure of two halves on the ground, beside another; where the first one is, (H, W) bool."""
    pixels = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    for middle in (130, 300):
        cv2.ellipse(pixels, (middle, 150), (70, 100), 0, 0, 360, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.line(pixels, (62, 150), (198, 150), (0, 0, 0), 3, cv2.LINE_AA)
    figure = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.ellipse(figure, (130, 150), (71, 101), 0, 0, 360, 1, -1)
    return pixels, figure > 0


@pytest.mark.parametrize("known", ["most of it", "its lines"])
def test_a_figure_in_lines_is_whole(known):
    pixels, figure = draw_figure()
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    if known == "most of it":
        cv2.ellipse(mask, (125, 150), (60, 85), 0, 0, 360, 1, -1)
    else:
        mask[figure & (pixels[..., 0] < 128)] = 1
    found = fill_outlines(mask, find_areas(to_lab(Image.fromarray(pixels)))) > 0.5
    around = cv2.dilate(figure.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    assert found[figure].mean() > 0.995 and not found[~around].any()
    layers = separate(pixels, [found.astype(np.float32)], 20)
    plate = layers[-1].plate
    assert plate[:, :220].min() > 200 and plate[:, 225:].min() < 50  # nothing of it stays behind, all of the other does


def test_a_photograph_is_no_drawing_in_lines():
    assert not find_areas(paint([(150, 100, 250, HEIGHT, TOWER)])).is_line_art
    assert find_areas(to_lab(Image.fromarray(draw_figure()[0]))).is_line_art
