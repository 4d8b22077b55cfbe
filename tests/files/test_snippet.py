import html5lib
import pytest

from loopanimate.files.formats import files_of
from loopanimate.files.snippet import check_snippet, write_snippet


@pytest.mark.parametrize(
    "name, tag, source",
    [
        ("a loop.mp4", "video", "src"),
        ("loop.webm", "video", "src"),
        ("loop.webp", "picture", "srcset"),
        ("loop.avif", "picture", "srcset"),
    ],
)
def test_who_wants_less_motion_sees_the_still(name, tag, source, tmp_path):
    loop, still = tmp_path / "loops" / name, tmp_path / "loops" / "still.jpg"
    write_snippet(tmp_path / "s.html", loop, still, (640, 480), 'she "sways" <b>')
    tree = html5lib.HTMLParser(namespaceHTMLElements=False).parseFragment((tmp_path / "s.html").read_text())
    shown = tree.find(tag)
    assert shown.find("source").get("media") == "(prefers-reduced-motion: no-preference)"
    assert shown.find("source").get(source) == "loops/" + name.replace(" ", "%20")
    whole = shown if tag == "video" else shown.find("img")
    assert whole.get("poster" if tag == "video" else "src") == "loops/still.jpg" and whole.get("width") == "640"
    assert (whole.get("aria-label") or whole.get("alt")) == 'she "sways" <b>'


def test_a_living_page_stands_in_a_frame(tmp_path):
    write_snippet(tmp_path / "s.html", tmp_path / "loop.html", tmp_path / "loop.html", (640, 480), "x")
    assert 'src="loop.html?panel=0"' in (tmp_path / "s.html").read_text()


@pytest.mark.parametrize(
    "snippet, loop, size",
    [
        ("s.txt", "l.mp4", "source"),
        ("l.html", "l.html", "source"),
        ("s.html", "l.mov", "source"),
        ("s.html", "l.mp4", "64x64,64x64"),
    ],
)
def test_what_no_browser_shows_has_no_snippet(snippet, loop, size, tmp_path):
    with pytest.raises(ValueError, match="expected"):
        check_snippet(tmp_path / snippet, files_of(tmp_path / loop, size))
