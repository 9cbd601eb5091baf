"""What holds in every server for Python, each as the page on deployment configures it."""

import pytest
from configurations import CONCURRENT, FORKING, PRELOADING, SERVERS
from support import until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=SERVERS)
def configuration(request):
    return SERVERS[request.param]


@pytest.fixture(scope="module")
def running_probe(serve, configuration):
    with serve(configuration) as probe:
        yield probe


@pytest.fixture
def probe(running_probe):
    running_probe.forget_rows()
    return running_probe


@pytest.mark.parametrize("configuration", PRELOADING, indirect=True)
def test_workers_do_not_touch_what_was_connected_before_they_were_forked(probe):
    answers = probe.in_turn(8)
    (master,) = {answer["at_start"]["process"] for answer in answers}
    (session,) = {answer["at_start"]["session"] for answer in answers}
    assert master not in {answer["process"] for answer in answers}
    assert session not in {answer["first"] for answer in answers}
    assert session in probe.sessions("state = 'idle'")


@pytest.mark.parametrize("configuration", CONCURRENT, indirect=True)
def test_requests_at_the_same_time_have_scopes_of_their_own(probe):
    answers = probe.at_once(8)
    assert all(answer["first"] == answer["second"] for answer in answers)
    assert len({answer["first"] for answer in answers}) == 8


def test_after_load_nothing_is_left_in_a_transaction(probe, configuration):
    kept = probe.load()
    probe.wait_for_quiet(at_most=configuration.most)
    assert probe.rows() == {"kept": kept}


def test_a_client_gone_half_way_ends_the_stream_and_its_transaction(probe, configuration):
    for _ in range(8):
        probe.leave_half_way("stream")
    probe.wait_for_quiet(at_most=configuration.most)
    assert probe.rows() == {}


def test_a_stream_is_one_transaction_on_one_session(probe, configuration):
    lines = probe.get("stream?lines=200").splitlines()
    assert len(lines) == 200
    assert len(set(lines)) == 1
    probe.wait_for_quiet(at_most=configuration.most)
    assert probe.rows() == {}


@pytest.mark.parametrize("configuration", FORKING, indirect=True)
def test_a_worker_killed_in_a_request_leaves_no_session_and_no_row(probe):
    with probe.killed_in_a_request() as session:
        pass
    until(lambda: session not in probe.sessions())
    assert probe.get("keep") == b"kept"
    assert probe.rows() == {"kept": 1}
