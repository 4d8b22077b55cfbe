"""Light and weather: closed in time, alike at every size and in both kinds of frames, nothing touched that they do not reach."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from loopanimate.effects.build import Effect, Placed, build, cut_place
from loopanimate.effects.data import COLUMNS, CURVE, SPARKS, Overlay
from loopanimate.effects.light import FALL, LEAST_HERTZ, MOST_HERTZ, flicker_curve
from loopanimate.effects.names import find_look, looks, names, read_colours
from loopanimate.effects.state import SPRITE, sprites_at
from loopanimate.effects.weather import LOOKS
from loopanimate.metrics import psnr, seam
from loopanimate.render.overlay import Painter
from loopanimate.render.planes import BT709

SECONDS, WHOLE = 4.25, (0.0, 0.0, 1.0, 1.0)
FALLING = [look for look in LOOKS if LOOKS[look].heading is not None]


@pytest.fixture(scope="module")
def night() -> np.ndarray:
    """A dark sky with points of light and a lamp over bright water, (144, 256, 3) uint8."""
    random = np.random.default_rng(3)
    picture = np.full((144, 256, 3), (20, 26, 44), np.float32)
    picture[80:] = (60, 80, 110)
    for row, column in zip(random.integers(4, 70, 40), random.integers(4, 252, 40)):
        picture[row, column] = 255
    for row, column in zip(random.integers(84, 140, 60), random.integers(4, 252, 60)):
        picture[row, column : column + 2] = (230, 240, 255)
    y, x = np.mgrid[:144, :256]
    picture += 235 * np.exp(-(np.hypot(x - 190, y - 50)[..., None] ** 2) / 60) * np.array([1, 0.8, 0.5])
    return cv2.GaussianBlur(np.clip(picture, 0, 255), (0, 0), 0.6).astype(np.uint8)


def oval(picture: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    inside = np.hypot(x / picture.shape[1] - 0.5, y / picture.shape[0] - 0.6) < 0.3
    return 255 * inside.astype(np.uint8)


def over(picture: np.ndarray, look: str, front=None, place=None, seed: int = 1, **asked) -> Overlay:
    return build([Placed(Effect(look=look, **asked), place)], picture, WHOLE, front, SECONDS, seed)


def painter(overlay: Overlay, picture: np.ndarray, amount: float = 1.0) -> Painter:
    return Painter(overlay, picture.shape[1::-1], amount=amount)


def to_planes(picture: np.ndarray) -> np.ndarray:
    """(3H/2, W) I420 of BT.709, limited range."""
    height, width = picture.shape[:2]
    planes = picture.reshape(-1, 3) @ BT709[:, :3].T + BT709[:, 3]
    luma, *colour = planes.T.reshape(3, height, width)
    halves = [plane.reshape(height // 2, 2, width // 2, 2).mean((1, 3)).ravel() for plane in colour]
    return np.rint(np.concatenate([luma.ravel(), *halves])).astype(np.uint8).reshape(-1, width)


@pytest.mark.parametrize("look", looks())
def test_a_loop_is_closed_to_the_bit_and_has_no_seam(night, look):
    draw = painter(over(night, look, oval(night)), night).draw
    for time in (0.0, 0.25, 0.8125):
        assert np.array_equal(draw(night.copy(), time), draw(night.copy(), time + 1))
    frames = np.stack([draw(night.copy(), index / 102) for index in range(102)])
    assert (frames != frames[0]).any()
    step = np.abs(frames.astype(np.float32) - np.roll(frames, 1, axis=0)).mean((1, 2, 3))
    assert step[0] <= 1.25 * np.sort(step)[-len(step) // 4 :].mean()
    if look not in ("neon", "lightning", "rain", "drizzle"):  # whose light or places jump at any time
        assert seam(frames)["step"] <= 1.3


@pytest.mark.parametrize("look", looks())
def test_amount_zero_is_no_effect_to_the_bit(night, look):
    assert np.array_equal(painter(over(night, look, oval(night)), night, 0.0).draw(night.copy(), 0.3), night)
    assert not over(night, look, amount=0.0)


@pytest.mark.parametrize("look", looks())
def test_nothing_darkens_or_brightens(night, look):
    for picture, where in ((night, None), (255 - night // 2, oval(night))):
        draw = painter(over(picture, look, where), picture).draw
        mean = np.mean([draw(picture.copy(), (index + 0.5) / 48).mean() for index in range(48)])
        assert abs(mean / picture.mean() - 1) < 0.01


@pytest.mark.parametrize("look", ["glow", "candle", "lamp"])
def test_a_colour_of_light_is_not_another_brightness(night, look):
    drawn = [
        np.mean(
            [painter(over(night, look, colours=colours), night).draw(night.copy(), time) for time in np.arange(24) / 24], axis=0
        )
        for colours in ((), ((0.2, 0.4, 1.0),))
    ]
    redder, bluer = ((drawn[1] - drawn[0])[30:70, 170:210, channel].mean() for channel in (0, 2))
    assert redder < -1 and bluer > 1 and drawn[1].mean() == pytest.approx(drawn[0].mean(), rel=0.01)


def test_what_falls_has_the_colours_that_words_say(night):
    assert read_colours(["pale", "blue", "and", "red"]) == (
        ((58 + 255) / 510, (124 + 255) / 510, 1.0),
        (229 / 255, 38 / 255, 38 / 255),
    )
    bright = np.full_like(night, 200)
    for word, channel in (("red", 0), ("green", 1), ("blue", 2)):
        particles = over(bright, "petals", colours=read_colours([word])).particles[0]
        assert all(np.argmax(colour) == channel for colour in particles.colours) and len(particles.colours) > 1


def test_rain_strikes_where_there_is_water_and_nothing_before_it(night):
    water, front = np.zeros((2, *night.shape[:2]), np.uint8)
    water[80:], front[60:, 100:160] = 255, 255
    rain = Placed(Effect(look="rain"), strikes={"water": water})
    rings = build([rain], night, WHOLE, front, SECONDS, 1).particles[1]
    x, y, life = (np.array(rings.rows)[:, [0, 1, COLUMNS.index("span")]] * (144, 144, SECONDS)).T
    assert rings.shape == "ring" and y.min() > 78 and not ((x > 103) & (x < 157)).any() and 0.5 < life.mean() < 1
    small, large = (np.array(rings.rows)[part, COLUMNS.index("radius")].mean() for part in (y < 95, y > 130))
    assert large > 2 * small  # what is lower in the picture is nearer
    assert not build([replace(rain, strikes={"water": water * 0})], night, WHOLE, front, SECONDS, 1).particles[1:]


def test_no_drop_falls_twice_where_it_fell(night):
    rain = over(night, "rain")
    drop = np.array(rain.particles[0].rows)[:1]
    passes, phase = (drop[0, COLUMNS.index(name)] for name in ("passes", "phase"))
    alone = rain.particles[0].model_copy(update={"rows": tuple(map(tuple, np.repeat(drop, 2, 0)))})
    one = rain.model_copy(update={"particles": (alone,)})
    middles = [sprites_at(one, ((lane + 0.5 - phase) / passes) % 1, 1.0)[0, 0] for lane in range(int(passes))]
    assert passes > 2 and len({round(x, 2) for x in middles}) == passes


@pytest.mark.parametrize("look", looks())
def test_planes_are_drawn_as_colours_are(night, look):
    overlay = over(night, look, oval(night))
    planes = Painter(overlay, night.shape[1::-1], planar=True).draw(to_planes(night), 0.37)
    wanted = to_planes(painter(overlay, night).draw(night.copy(), 0.37))
    rows = len(night)
    assert psnr(planes[:rows], wanted[:rows]) > 38 and psnr(planes[rows:], wanted[rows:]) > 38


@pytest.mark.parametrize("look", LOOKS)
def test_particles_are_the_same_at_every_size(night, look):
    overlays = [over(cv2.resize(night, None, fx=scale, fy=scale), look) for scale in (5, 15)]  # 720p, 4K
    tables = [np.array(overlay.particles[0].rows)[:, COLUMNS.index("radius")] for overlay in overlays]
    assert np.array_equal(*tables)
    assert look == "embers" or overlays[0].particles[0].rows == overlays[1].particles[0].rows  # embers rise from what is bright
    shares = []
    for overlay, scale in zip(overlays, (5, 15)):
        black = np.zeros((144 * scale, 256 * scale, 3), np.uint8)
        drawn = painter(overlay, black).draw(black.copy(), 0.3)
        shares.append(float((drawn.max(2) > 40).mean()))
    assert shares[0] == pytest.approx(shares[1], rel=0.25)


@pytest.mark.parametrize("look", LOOKS)
def test_no_two_share_a_path(night, look):
    rows = np.array(over(night, look).particles[0].rows)
    assert len(np.unique(rows[:, :4].round(3), axis=0)) == len(rows)
    whole = [COLUMNS.index(name) for name in ("passes", "swing", "spin", "tumble", "blink")]
    assert np.array_equal(rows[:, whole], rows[:, whole].round())  # whole cycles


@pytest.mark.parametrize("look", LOOKS)
def test_no_period_is_shorter_than_the_loop(night, look):
    draw = painter(over(night, look), night).draw
    frames = np.stack([draw(night.copy(), index / 48) for index in range(48)]).astype(np.float32).reshape(48, -1)
    apart = frames - frames.mean(0)
    products = apart @ apart.T
    like = [products[np.arange(48), np.arange(48) - lag].sum() / np.trace(products) for lag in range(8, 41)]
    assert max(like) < 0.5


@pytest.mark.parametrize("look", FALLING)
def test_wind_goes_where_words_say(night, look):
    for heading, sign in ((180.0, -1), (0.0, 1)):
        rows = np.array(over(night, look, heading=heading).particles[0].rows)
        assert sign * np.mean(rows[:, 2] - rows[:, 0]) > 0
        assert np.mean(rows[:, 3] - rows[:, 1]) * (-1 if LOOKS[look].heading == 270 else 1) > 0


def test_near_ones_are_larger_faster_and_blurred(night):
    rows = np.array(over(night, "snow").particles[0].rows).T
    radius, soft = (rows[COLUMNS.index(name)] for name in ("radius", "soft"))
    speed = np.hypot(rows[2] - rows[0], rows[3] - rows[1]) * rows[COLUMNS.index("passes")]
    assert np.corrcoef(radius, speed)[0, 1] > 0.6 and np.corrcoef(radius, soft)[0, 1] > 0.6


@pytest.mark.parametrize("side, inside, outside", [("behind", False, True), ("before", True, True), ("both", True, True)])
def test_what_falls_behind_an_object_stays_behind_it(night, side, inside, outside):
    front = oval(night)
    draw = painter(over(night, "snow", front, side=side), night).draw
    changed = np.any([(draw(night.copy(), index / 40) != night).any(2) for index in range(40)], axis=0)
    within = cv2.erode(front, np.ones((5, 5))) > 0
    assert changed[within].any() == inside and changed[front == 0].any() == outside


def test_nothing_hides_what_falls_where_nothing_stands_in_front(night):
    window = np.zeros(night.shape[:2], np.uint8)
    window[:, 128:] = 255
    for places in ([None], [None, window]):  # a place is what hides its own weather alone
        overlay = build([Placed(Effect(look="snow"), place) for place in places], night, WHOLE, None, SECONDS, 1)
        numbers = [{row[COLUMNS.index("behind")] for row in particles.rows} for particles in overlay.particles]
        assert numbers == [{float(plane)} for plane in range(len(places))]


def test_weather_falls_where_its_place_is_and_behind_what_stands_there(night):
    window, front = np.zeros((2, *night.shape[:2]), np.uint8)
    window[:, 128:], front[72:, 100:160] = 255, 255
    for side, below in (("both", False), ("before", True)):
        draw = painter(over(night, "snow", front, window, side=side), night).draw
        changed = np.any([(draw(night.copy(), index / 40) != night).any(2) for index in range(40)], axis=0)
        assert not changed[:, :126].any() and changed[:70, 130:].mean() > 0.2 and changed[75:, 130:158].any() == below


@pytest.mark.parametrize("look", ["candle", "neon", "glow", "twinkle", "sparkle"])
def test_pixels_beyond_an_effect_are_not_touched(night, look):
    place = np.zeros(night.shape[:2], np.uint8)
    place[30:70, 170:210] = 255
    draw = painter(over(night, look, place=place), night).draw
    changed = np.any([(draw(night.copy(), index / 20) != night).any(2) for index in range(20)], axis=0)
    y, x = np.nonzero(changed)
    assert len(y) and np.hypot(x - 190, y - 50).max() < 150


@pytest.mark.parametrize("look, rows", [("twinkle", slice(0, 80)), ("sparkle", slice(80, 144))])
def test_light_is_found_and_none_is_invented(night, look, rows):
    place = np.zeros(night.shape[:2], np.uint8)
    place[rows] = 255
    overlay = over(night, look, place=place)
    points = np.array(overlay.sparks[0].rows)
    assert 15 < len(points) < 120
    light = night.mean(2)[(points[:, 1] * 144).astype(int), (points[:, 0] * 144).astype(int)]
    assert (light > 60).mean() > 0.9
    level = np.mean([sprites_at(overlay, time, 1)[: len(points), SPRITE.index("share")] for time in np.arange(60) / 60], axis=0)
    assert np.abs(level).mean() < 0.1 * points[:, SPARKS.index("level")].mean()
    dark = np.full_like(night, 12)
    assert not over(dark, look)


def test_a_candle_flickers_as_candles_do():
    spectrum = np.mean([np.abs(np.fft.rfft(flicker_curve("candle", SECONDS, seed))) ** 2 for seed in range(40)], axis=0)
    hertz = np.arange(len(spectrum)) / SECONDS
    band = (hertz > 2 * LEAST_HERTZ) & (hertz < 0.8 * MOST_HERTZ)
    slope = np.polyfit(np.log10(hertz[band]), 10 * np.log10(spectrum[band]), 1)[0]
    assert slope == pytest.approx(-20 * FALL, abs=5)  # decibels a decade
    for look in ("candle", "lamp", "firelight", "neon"):
        curve = flicker_curve(look, SECONDS, 1)
        assert len(curve) == CURVE and abs(curve.mean()) < 1e-9 and np.abs(np.diff(curve, append=curve[0])).max() < 1


def test_a_seed_gives_the_same_and_another_another(night):
    assert over(night, "snow") == over(night, "snow") and over(night, "snow") != over(night, "snow", seed=2)


def test_a_cut_place_is_where_it_was():
    place = np.zeros((60, 100), np.uint8)
    place[20:40, 50:70] = 255
    cut = cut_place(place, (0.5, 0.25, 1.0, 0.75), (50, 30))
    assert cut[6:24, 1:19].min() == 1 and cut[:4].max() == 0 and cut[:, 22:].max() == 0


def test_names_are_effects_and_looks():
    assert {"snow", "particles", "fireflies", "flicker", "neon", "rays"} <= set(names())
    assert all(find_look(name) in looks() for name in names())
