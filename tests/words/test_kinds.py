from safetensors import safe_open

from loopanimate.words.kinds import KINDS, SPOKEN
from loopanimate.words.read import FITTED


def names(test) -> set[str]:
    return {name for name, kind in KINDS.items() if test(kind)}


def test_kinds_keep_their_numbers_in_trained_weights():
    assert " ".join(KINDS) == "still sway shift bob bounce rock swing turn pulse ripple flutter tremble zoom stream"
    assert all(kind.name == name for name, kind in KINDS.items())
    assert [*KINDS] == ["still", *SPOKEN[:-1], "zoom", SPOKEN[-1]]
    with safe_open(FITTED, "pt") as file:
        assert file.get_slice("weights").get_shape()[1] == len(SPOKEN)


def test_what_follows_from_a_row_agrees_with_it():
    assert names(lambda kind: kind.rigid) == {"shift", "bob", "bounce", "tremble", "rock", "swing", "turn"}
    assert names(lambda kind: kind.whole) == {"shift", "bob", "bounce", "tremble", "ripple"}
    assert names(lambda kind: kind.flows) == {"stream"}
    assert [KINDS[name].pivot for name in ("rock", "swing", "turn", "sway")] == [1.0, 0.0, 0.5, None]
    assert not names(lambda kind: kind.rigid and (kind.soft or kind.fixed or kind.in_place))
    assert {KINDS[name].if_rigid for name in SPOKEN} - {None} <= names(lambda kind: kind.rigid)
    assert all(verb.base for name in SPOKEN for verb in (*KINDS[name].verbs, *KINDS[name].alike))
