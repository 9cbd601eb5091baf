"""waitress, Paste's server and cheroot: threads, streams, and clients that hang up half-way."""

import shlex
import sys

import pytest
from projects import PASTER
from serving import PROGRAMS, on_page, with_changes

pytest.importorskip("cheroot", reason="the extra 'test' is not installed")

APPLICATION = "[app:main]\npaste.app_factory = probe:app_factory\n"
PORT = {"port = 8000": "port = {port}"}
CHEROOT = with_changes(
    on_page("cheroot"), {"wsgi:application": "probe:application", ":8000": ":{port}"}
)
SERVERS = {
    "waitress": ([PASTER, "serve", "production.ini"], with_changes(on_page("waitress.ini"), PORT)),
    "Paste#http": ([PASTER, "serve", "production.ini"], with_changes(on_page("paste.ini"), PORT)),
    "cheroot": ([sys.executable, str(PROGRAMS / "cheroot"), *shlex.split(CHEROOT)[1:]], ""),
}


@pytest.fixture(scope="module", params=SERVERS)
def running_probe(serve, request):
    command, server = SERVERS[request.param]
    with serve(command, {"production.ini": server + APPLICATION}) as probe:
        yield probe


@pytest.fixture
def probe(running_probe):
    running_probe.forget_rows()
    return running_probe


def test_threads_have_scopes_of_their_own(probe):
    answers = probe.at_once(8)
    assert all(answer["first"] == answer["second"] for answer in answers)
    assert len({answer["first"] for answer in answers}) == 8


def test_after_load_nothing_is_left_in_a_transaction(probe):
    kept = probe.load()
    probe.wait_for_quiet(at_most=5)
    assert probe.rows() == {"kept": kept}


def test_a_client_gone_half_way_ends_the_stream_and_its_transaction(probe):
    for _ in range(8):
        probe.leave_half_way("stream")
    probe.wait_for_quiet(at_most=5)
    assert probe.rows() == {}


def test_a_stream_is_one_transaction_on_one_session(probe):
    lines = probe.get("stream?lines=200").splitlines()
    assert len(lines) == 200
    assert len(set(lines)) == 1
    probe.wait_for_quiet(at_most=5)
    assert probe.rows() == {}
