"""A form is refused where it is too much, in whatever pieces it is read."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpycity_template.form_body import FormBody, FormError

PIECES = [b"--x", b"\r\n", b"\n", b"--", b"a", b" ", b"multipart/", b"h" * 3000]


def refusal(body, sizes):
    """Why a body is refused that is read in pieces of these sizes, again and again."""
    form = FormBody(io.BytesIO(body), "x", 3)
    try:
        while all(form.read(size) for size in sizes):
            pass
    except FormError as error:
        return str(error)
    return ""


@given(
    st.lists(st.sampled_from(PIECES), max_size=20).map(b"".join),
    st.lists(st.integers(1, 5000), min_size=1, max_size=3),
)
def test_what_is_refused_does_not_depend_on_the_pieces_that_are_read(body, sizes):
    assert refusal(body, sizes) == refusal(body, [len(body) + 1])


@pytest.mark.parametrize("read", [FormBody.readlines, list, lambda form: [form.readline()]])
def test_lines_are_looked_at_too(read):
    with pytest.raises(FormError, match="more than 1 fields"):
        read(FormBody(io.BytesIO(b"a&b&c"), "", 1))


def test_a_copy_that_is_read_again_is_counted_again():
    form = FormBody(io.BytesIO(b"a&b&c"), "", 3)
    for _ in range(2):
        assert form.read() == b"a&b&c"
        form.seek(0)
