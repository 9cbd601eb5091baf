"""Whatever reads a visitor's text takes a time that grows with its length, and not with the square.

What reads SQL is in tests/driver/test_sql_text.py.
"""

import io
from contextlib import suppress
from time import process_time

import pytest

from simpycity_template.embedded import keeper
from simpycity_template.form_body import FormBody, FormError
from simpycity_template.functions import names, prepare
from simpycity_template.public_files import _RANGE
from simpycity_template.pylons_py3 import literal_re, moving
from simpycity_template.pylons_py3.dns_rebinding import is_loopback
from simpycity_template.pylons_py3.log_entry import one_entry
from simpycity_template.request_check import _of_query, _of_type
from simpycity_template.schema.concurrent_index import ConcurrentIndex
from simpycity_template.simpycity_patches.arguments import column_list

LENGTH = 1_000_000


def columns(text):
    with pytest.raises(ValueError, match="is not the name of a column"):
        column_list([text])


def form(text):
    body = FormBody(io.BytesIO(text.encode()), "x", LENGTH)
    with suppress(FormError):
        while body.read(1000):
            pass


READERS = [
    (form, "--x\r\n", "X: y\r\n", ""),
    (form, "", "--x\r\n\r\n", ""),
    (form, "", "-\n", ""),
    (form, "", "--x ", ""),
    (columns, "", "a.", "!"),
    (columns, "", '""', "!"),
    (names.parts, "", "a.", "!"),
    (names.parts, "", " ", "!"),
    (prepare._first_word, "", "--\n", "!"),
    (prepare._first_word, "", "/*", "!"),
    (ConcurrentIndex.of, "CREATE INDEX CONCURRENTLY", " ", "!"),
    (ConcurrentIndex.of, "CREATE INDEX CONCURRENTLY ", '""', "!"),
    (literal_re._REFERENCE.split, "", "\\g<", ""),
    (literal_re._REFERENCE.split, "", "\\\\", ""),
    (_RANGE.fullmatch, "bytes=", "1", ""),
    (_RANGE.fullmatch, "bytes=", "0-0,", ""),
    (_of_query, "", "%ff", ""),
    (_of_type, "multipart/form-data", ";", "!"),
    (_of_type, "text/plain; charset=", '"\\', ""),
    (is_loopback, "", "[", "]"),
    (is_loopback, "", "a.", "localhost:"),
    (one_entry, "", "\x1b\n", ""),
    (keeper.SOCKET_FOLDER.fullmatch, "/tmp/simpycity-", "a", "/"),
    (moving.QUOTED_REQUIREMENT.findall, '"a', " ", ""),
    (moving.QUOTED_REQUIREMENT.findall, "", '"a[', ""),
]


@pytest.mark.parametrize(("read", "before", "shape", "after"), READERS)
def test_a_megabyte_of_a_hostile_shape_is_read_in_a_second_or_two(read, before, shape, after):
    text = before + shape * (LENGTH // len(shape)) + after
    began = process_time()
    read(text)
    # Where the time grows with the square, it is minutes.
    assert process_time() - began < 5
