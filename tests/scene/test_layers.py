import cv2
import numpy as np
import pytest
from skimage import data

from loopanimate.scene.layers import fill_plate, separate, solve, split
from loopanimate.scene.matting import matte

SIDE = 256
SHIFTS = ((5, 0), (0, 5), (-4, 3), (-3, -5))  # pixels


def scene(front, back, hairy=False):
    """Known layers: a lobed shape of one picture over another, and its alpha; with hairs that leave it."""
    front, back = (cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32) for part in (front, back))
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) - SIDE / 2
    alpha = np.clip((70 + 8 * np.sin(7 * np.arctan2(y, x)) - np.hypot(x, y)) / 2 + 0.5, 0, 1)
    if hairy:
        random, hair = np.random.default_rng(0), np.zeros((4 * SIDE, 4 * SIDE), np.uint8)
        for angle in random.uniform(0, 2 * np.pi, 60):
            ends = [
                2 * SIDE + radius * np.array([np.cos(turn), np.sin(turn)])
                for radius, turn in ((270, angle), (random.uniform(310, 370), angle + random.normal() * 0.1))
            ]
            cv2.line(hair, *(tuple(end.astype(int).tolist()) for end in ends), 255, 3, cv2.LINE_AA)
        alpha = np.maximum(alpha, cv2.resize(hair, (SIDE, SIDE), interpolation=cv2.INTER_AREA) / 255)
    alpha = alpha.astype(np.float32)
    image = (alpha[..., None] * front + (1 - alpha[..., None]) * back).round().astype(np.uint8)
    return image, front * alpha[..., None], back, alpha


def shifted(part, shift):
    return cv2.warpAffine(part, np.float32([[1, 0, shift[0]], [0, 1, shift[1]]]), (SIDE, SIDE), flags=cv2.INTER_LINEAR)


def rim_error(truth, colour, alpha, plate):
    """Mean squared error in the 9 pixels around the object's rim, where it is and where it has moved to."""
    _, true_colour, back, true_alpha = truth
    rim = cv2.morphologyEx((true_alpha > 0.5).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((9, 9), np.uint8))
    errors = []
    for shift in SHIFTS:
        true, ours = (
            shifted(part[0], shift) + (1 - shifted(part[1], shift)[..., None]) * part[2]
            for part in ((true_colour, true_alpha, back), (colour, alpha, plate))
        )
        errors.append(((true - ours) ** 2)[(rim | shifted(rim, shift)) > 0].mean())
    return np.mean(errors)


def backs():
    for texture in (data.brick(), data.grass(), data.gravel()):
        yield np.clip(texture[..., None] * np.array([0.6, 0.75, 0.85]) + 20, 0, 255).astype(np.uint8)
    yield data.rocket()


@pytest.mark.parametrize("hairy", [False, True])
def test_rims_are_three_decibels_better_than_a_feathered_mask_over_telea(hairy):
    gains = []
    for back in backs():
        truth = scene(data.chelsea(), back, hairy)
        image, mask = truth[0], cv2.GaussianBlur((truth[3] > 0.5).astype(np.float32), (0, 0), 1.5)
        hole = cv2.dilate((mask > 0.01).astype(np.uint8), np.ones((5, 5), np.uint8))
        telea = cv2.inpaint(image, hole, 4, cv2.INPAINT_TELEA).astype(np.float32)
        feathered = rim_error(truth, image * mask[..., None], mask, telea)
        layers = solve(image, *split(image, mask, 10))
        parts = (layers.colour.astype(np.float32), layers.alpha.astype(np.float32) / 255, layers.plate.astype(np.float32))
        gains.append(10 * np.log10(feathered / rim_error(truth, *parts)))
    assert np.mean(gains) >= 3


def test_alpha_is_found_at_any_size_and_kept_where_it_is_meant_soft():
    image, _, _, alpha = scene(data.chelsea(), data.rocket())
    guess = cv2.GaussianBlur((alpha > 0.5).astype(np.float32), (0, 0), 3)
    assert np.abs(matte(image, guess) - alpha).mean() < 0.5 * np.abs(guess - alpha).mean()
    large, large_guess, large_alpha = (cv2.resize(part, (1024, 1024)) for part in (image, guess, alpha))
    assert np.abs(matte(large, large_guess) - large_alpha).mean() < 0.5 * np.abs(large_guess - large_alpha).mean()
    ramp = np.tile(np.linspace(0, 1, SIDE, dtype=np.float32), (SIDE, 1))
    assert np.array_equal(matte(image, ramp), ramp)
    whole = np.ones((SIDE, SIDE), np.float32)
    assert np.array_equal(matte(image, whole), whole)


def test_dark_pixels_of_the_rim_leave_no_specks_on_the_plate():
    away = np.hypot(*(np.mgrid[0:96, 0:96] - 48))
    image = np.full((96, 96, 3), 200, np.uint8)
    image[away < 30] = (20, 6, 1)
    alpha, plate = split(image, np.clip((31 - away) / 2, 0, 1).astype(np.float32), 12)  # a soft mask of a sharp object
    layers = solve(image, alpha, plate)
    gave_way = np.abs(layers.plate.astype(int) - plate).max(-1)
    assert not gave_way[alpha >= 80].any()
    under = [cv2.multiply(channel, 255 - alpha, scale=1 / 255) for channel in cv2.split(layers.plate)]
    assert np.array_equal(layers.colour.astype(int) + np.dstack(under), image)


def test_layers_composite_to_the_exact_picture_over_any_plate():
    random = np.random.default_rng(0)
    image, plate = random.integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)
    alpha = random.integers(0, 256, (64, 96), dtype=np.uint8)
    alpha[:20], alpha[20:40] = 0, 255
    layers = solve(image, alpha, plate)
    under = [cv2.multiply(channel, 255 - alpha, scale=1 / 255) for channel in cv2.split(layers.plate)]
    assert np.array_equal(layers.colour.astype(int) + np.dstack(under), image)
    assert np.array_equal(layers.plate[:20], image[:20]) and not layers.colour[:20].any()


def test_plate_is_the_picture_outside_the_layer_and_hides_the_layer_inside(blob):
    image, mask = blob
    plate = fill_plate(image, mask, band=12)
    outside = np.hypot(*(np.mgrid[0:96, 0:128] - np.array([48, 64])[:, None, None])) > 30
    assert np.allclose(plate[outside], image[outside])
    rim = (np.hypot(*(np.mgrid[0:96, 0:128] - np.array([48, 64])[:, None, None])) < 22) & (mask > 0)
    around = image[(mask == 0)].mean()
    assert abs(plate[rim].mean() - around) < abs(image[rim].mean() - around)


@pytest.mark.parametrize("size", [1, 8])
def test_plate_goes_on_with_what_is_around_and_with_nothing_of_the_layer(size):
    grass = cv2.resize(data.grass(), (192, 192), interpolation=cv2.INTER_AREA)
    grass = np.tile(grass, (size, size))  # of one grain, however large the picture
    away = np.hypot(*(np.mgrid[0 : 192 * size, 0 : 192 * size] - 96 * size)) / size
    image = np.where(away[..., None] < 50, [250, 20, 20], grass[..., None].repeat(3, 2)).astype(np.uint8)
    alpha = np.clip(size * (50 - away) - 0.5, 0, 1).astype(np.float32)  # a mask a little too small
    plate = fill_plate(image, alpha, band=20 * size).astype(np.float32)
    band, around = (away < 46) & (away > 32), (away > 60) & (away < 90)
    red = plate[..., 0] - plate[..., 1]
    assert red[band].mean() < 3

    def roughness(where):
        grey = plate.mean(2)
        return sum((np.diff(grey, axis=axis, append=0)[where] ** 2).mean() for axis in (0, 1))

    assert 0.5 < roughness(band) / roughness(around) < 2  # Telea's alone has a tenth


@pytest.mark.parametrize("size", [1, 3])
def test_what_stands_out_beside_a_layer_is_not_there_twice(size):
    """An eye below the hair must not be mirrored onto the forehead behind it."""
    y, x = np.mgrid[0 : 400 * size, 0 : 400 * size] / size
    skin = 180 + 3 * np.random.default_rng(0).standard_normal(x.shape)
    image = np.where(np.hypot(x - 200, y - 212) < 5, 20, skin)
    image = np.where(y < 200, 60, image)[..., None].repeat(3, 2).astype(np.uint8)
    alpha = np.clip(size * (200 - y) + 0.5, 0, 1).astype(np.float32)
    band = fill_plate(image, alpha, band=24 * size)[(y > 178) & (y < 196) & (abs(x - 200) < 12)]
    assert band.mean() > 165 and band.min() > 140 and band.std() > 1


def test_masks_continue_behind_the_layers_in_front():
    """Two discs side by side: behind the front one, the other goes on, not the background."""
    y, x = np.mgrid[0:96, 0:128]
    first, second = (np.hypot(x - left, y - 48) < 24 for left in (40, 80))
    image = np.full((96, 128, 3), (40, 90, 160), np.uint8)
    image[second], image[first] = (60, 200, 60), (220, 60, 40)
    second &= ~first
    front, middle = separate(image, [first.astype(np.float32), second.astype(np.float32)], 16)
    behind = (np.hypot(x - 80, y - 48) < 23) & (np.hypot(x - 40, y - 48) < 22)  # hidden by the first, within the second's disc
    assert behind.sum() > 50 and (middle.alpha[behind] > 128).mean() > 0.9
    assert not (middle.alpha[:, :40] > 128).any()  # far behind the first there is background
    assert np.array_equal(front.colour[second & (front.alpha == 0)], np.zeros_like(image[second & (front.alpha == 0)]))
    under = image
    for layer in (front, middle):
        assert np.array_equal(layer.colour + ((255 - layer.alpha[..., None]) * (layer.plate / 255)).round(), under)
        under = layer.plate
