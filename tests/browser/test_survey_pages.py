"""The pages that ask people, as a viewer uses them from a file."""

import json
from fractions import Fraction

import numpy as np
import pytest

from loopanimate.files.formats import Coding, write_loop
from tests.videos import scene
from train.pages import find_the_cut, rating


@pytest.fixture
def loops():
    return {name: np.stack(scene(16, seed)) for seed, name in enumerate(("one", "two", "<b>"))}


@pytest.fixture
def opened(browser, tmp_path):
    def show(html):
        (tmp_path / "page.html").write_text(html, encoding="utf-8")
        page = browser.new_page()
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("request", lambda request: page.errors.append(request.url) if request.url.startswith("http") else None)
        page.goto((tmp_path / "page.html").as_uri())
        return page

    return show


def test_find_the_cut_scores_each_answer(opened, loops):
    page = opened(find_the_cut(loops))
    for number in (1, 2, 3):
        page.wait_for_function(
            f"document.getElementById('place').textContent === 'Loop {number} of 3' && pictures.length === 16"
        )
        if number == 3:
            page.click("#none")
            break
        page.evaluate("offset = 0.01; performance.now = () => began")  # time stands still at the beginning of the loop
        page.click("#loop") if number == 1 else page.keyboard.press("Space")
    assert page.inner_text("#score").startswith("2 of 2 clicks within 0.4 s of the cut")
    with page.expect_download() as download:
        page.click("#save")
    answers = json.loads(download.value.path().read_text())
    assert sorted(answer["loop"] for answer in answers) == sorted(loops)
    assert [answer["error"] is None for answer in answers] == [False, False, True]
    assert not page.errors


def test_rating_shows_methods_side_by_side_and_averages_marks(opened, loops, tmp_path):
    captions = {"one": "a disc sways", "two": "</script> a <disc>"}
    for method in ("a", "b"):
        (tmp_path / method / "loops").mkdir(parents=True)
        for name in captions:
            write_loop(tmp_path / method / "loops" / f"{name}.mp4", iter(loops[name]), len(loops[name]), Coding(Fraction(8)))
    page = opened(rating([tmp_path / "a", tmp_path / "b"], captions))
    for _ in captions:
        page.wait_for_selector("#next[disabled]")
        page.wait_for_function("shown.length === 2")
        for number, method in enumerate(page.evaluate("shown.map(loop => loop.method)")):
            page.check(f'input[name="QS{number}"][value="{3 if method.endswith("a") else 1}"]')
            page.check(f'input[name="QM{number}"][value="2"]')
        page.click("#next:enabled")
    lines = page.inner_text("#score").split("\n")
    assert {line.split("\t")[0][-1]: line.split("\t")[1:] for line in lines[1:]} == {
        "a": ["3.00", "2.00"],
        "b": ["1.00", "2.00"],
    }
    assert not page.errors


def test_rating_refuses_evaluations_without_a_common_loop(tmp_path):
    (tmp_path / "loops").mkdir()
    with pytest.raises(ValueError, match="expected loops of the same names"):
        rating([tmp_path], {"one": "x"})
    with pytest.raises(ValueError, match="expected the output of an evaluation"):
        rating([tmp_path / "none"], {"one": "x"})
