"""What the page says of clauses, as HTML."""

import pytest

from loopanimate.page.text import understood


@pytest.mark.parametrize(
    "prompt, ways", [("the clouds drift", 4), ("she turns her head", 4), ("he nods", 0), ("the sea ripples", 0)]
)
def test_only_what_can_be_sent_somewhere_has_buttons_for_it(prompt, ways):
    assert understood(prompt).count("heading") == ways
