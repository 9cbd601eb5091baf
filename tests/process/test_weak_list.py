"""A weak list knows what somebody else has, and keeps nothing."""

from simpycity_template.process.weak_list import WeakList


class Thing:
    pass


def test_it_has_what_somebody_else_has_and_does_not_grow_by_the_rest():
    known = WeakList()
    kept = [Thing() for _ in range(3)]
    for number in range(10_000):
        known.add(Thing())
        if not number % 5000:
            known.add(kept[number // 5000])
    known.add(kept[2])
    assert list(known) == kept
    assert len(known._references) < 1000


def test_it_has_none_after_clear():
    known, thing = WeakList(), Thing()
    known.add(thing)
    known.clear()
    assert list(known) == []
