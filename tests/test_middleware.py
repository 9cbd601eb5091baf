"""A request is a scope, and a streamed body keeps it until it has been sent, and not longer."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from simpycity.core import Raw
from support import PATIENCE, backend, in_thread, until

from simpycity_template import TransactionLost
from simpycity_template.middleware import ManagerMiddleware


def request(application, manager, path="/notes/7", **environ):
    """What a server gets: the body, not yet iterated."""
    environ = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": path, **environ}
    return ManagerMiddleware(application, manager)(environ, lambda *args: None)


@pytest.fixture
def in_use(manager):
    return lambda: [entry.label for entry in manager.status() if entry.state == "in use"]


def test_the_scope_carries_the_requests_name(manager, in_use):
    def application(environ, start_response):
        backend()
        return [in_use()[0].encode()]

    assert request(application, manager) == [b"GET /notes/7"]
    assert request(application, manager, "/caf\xc3\xa9") == ["GET /café".encode()]


def test_a_complete_body_ends_the_scope_at_once(manager, in_use):
    body = request(lambda *args: [b"%d" % backend()], manager)
    assert in_use() == []
    assert isinstance(body, list)


def test_an_exception_ends_the_scope_and_is_not_hidden(manager, in_use):
    def application(environ, start_response):
        backend()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        request(application, manager)
    assert in_use() == []


def streaming(environ, start_response):
    def body():
        first = backend()
        yield b"1"
        assert backend() == first
        yield b"2"

    return body()


def test_a_stream_keeps_its_connection_until_it_is_exhausted(manager, in_use):
    body = request(streaming, manager)
    assert in_use() == []
    assert next(body) == b"1"
    assert in_use() == ["GET /notes/7"]
    assert list(body) == [b"2"]
    assert in_use() == []


def test_between_its_pieces_the_thread_has_its_own_scope(manager):
    body = request(streaming, manager)
    next(body)
    with manager.scope("other"):
        other = backend()
    mine = backend()
    list(body)
    assert backend() == mine
    assert other


def test_a_cursor_opened_before_the_stream_serves_it(manager):
    def application(environ, start_response):
        cursor = manager.handle().cursor(name="rows")
        cursor.execute("SELECT generate_series(1, 3)")
        return (b"%d" % row[0] for row in cursor)

    assert list(request(application, manager)) == [b"1", b"2", b"3"]


def test_a_client_that_goes_away_frees_the_connection(manager, in_use):
    body = request(streaming, manager)
    next(body)
    body.close()
    body.close()
    assert in_use() == []


def test_a_dropped_body_frees_the_connection(manager, in_use):
    body = request(streaming, manager)
    next(body)
    del body
    assert in_use() == []


class Querying:
    """A body that queries, also while it is closed: it tells its session."""

    def __init__(self, seen):
        self.seen = seen

    def __iter__(self):
        yield b"%d" % backend()

    def close(self):
        self.seen.append(backend())


def test_a_dropped_body_is_closed_in_its_scope_and_nobody_is_blamed(manager, in_use, caplog):
    seen = []
    body = request(lambda *args: Querying(seen), manager)
    session = int(next(body))
    del body
    assert (seen, in_use(), caplog.messages) == ([session], [], [])


def test_an_error_in_the_middle_of_the_body_frees_the_connection(manager, in_use):
    def application(environ, start_response):
        backend()
        yield b"1"
        raise ZeroDivisionError

    body = request(application, manager)
    next(body)
    with pytest.raises(ZeroDivisionError):
        next(body)
    assert in_use() == []


def test_a_response_may_start_with_the_first_piece_of_its_body(manager, in_use):
    """PEP 3333 allows it: a generator as the application does so."""
    started = []

    def application(environ, start_response):
        start_response(f"200 {in_use() or 'not before'}", [])
        first = backend()
        yield b"1"
        assert backend() == first

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/late"}
    body = ManagerMiddleware(application, manager)(environ, lambda *args: started.append(args))
    assert (started, in_use()) == ([], [])
    assert next(body) == b"1"
    assert (len(started), in_use()) == (1, ["GET /late"])
    assert list(body) == []
    assert in_use() == []


@pytest.mark.parametrize("request_of", [
    {"REQUEST_METHOD": "HEAD"}, {"HTTP_IF_NONE_MATCH": '"7"'}
])  # fmt: skip
def test_a_body_that_is_not_sent_frees_the_connection_all_the_same(manager, in_use, request_of):
    """HEAD and 304: by a framework that closes what it throws away, and one that drops it."""

    def closes(environ, start_response):
        streamed = streaming(environ, start_response)
        assert next(streamed) == b"1"
        streamed.close()
        return []

    def drops(environ, start_response):
        next(streaming(environ, start_response))
        return iter(())

    for application in (closes, drops):
        assert list(request(application, manager, **request_of)) == []
        assert in_use() == []
    # Here it is the server that sends none of it, and closes it, as PEP 3333 asks.
    body = request(streaming, manager, **request_of)
    next(body)
    assert len(in_use()) == 1
    body.close()
    assert in_use() == []


def test_a_server_that_never_closes_frees_it_with_the_threads_next_request(manager, in_use):
    kept = request(streaming, manager)
    next(kept)
    request(lambda *args: [b""], manager)
    assert in_use() == []
    kept.close()
    # Also where nothing of it was ever sent, as after a HEAD.
    kept = request(lambda *args: iter([backend()]), manager)
    assert in_use() == ["GET /notes/7"]
    request(lambda *args: [b""], manager)
    assert in_use() == []


def test_a_body_that_was_cut_never_passes_for_a_whole_one(manager):
    """A server of one thread may as well send several bodies by turns."""
    body = request(streaming, manager, "/export")
    next(body)
    request(lambda *args: [b""], manager)
    for _ in range(2):
        with pytest.raises(RuntimeError) as error:
            next(body)
        assert "'GET /export' was cut" in str(error.value)
        assert "call manager.cleanup() before it begins" in str(error.value)
        body.close()


@pytest.mark.parametrize("fetched", [True, False])
def test_a_stream_without_a_connection_is_never_cut(manager, fetched):
    def application(environ, start_response):
        if fetched:
            backend()
            manager.cleanup()
        return (b"%d" % n for n in (1, 2, 3))

    bodies = [request(application, manager) for _ in range(3)]
    assert [b"".join(row) for row in zip(*bodies, strict=True)] == [b"111", b"222", b"333"]


def test_a_body_that_another_thread_sends_is_whole(manager, witness):
    """While its own thread serves other requests, also in the middle of a statement."""
    lock = Raw("SELECT pg_advisory_xact_lock(7)")

    def lines():
        first = backend()
        yield b"1"
        lock()
        assert backend() == first
        yield b"2"

    def waits():
        with witness.cursor() as cursor:
            cursor.execute("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            return cursor.rowcount

    def another_request():
        assert request(lambda *args: [b"%d" % backend()], manager)

    body = request(lambda *args: lines(), manager)
    with ThreadPoolExecutor(1) as sender:
        with manager.scope("lock"):
            lock()
            another_request()
            assert sender.submit(next, body).result(PATIENCE) == b"1"
            another_request()
            rest = sender.submit(list, body)
            until(waits)
            another_request()
        assert rest.result(PATIENCE) == [b"2"]


def test_a_body_is_freed_by_the_next_request_of_the_thread_that_sent_the_last_piece(
    manager, in_use
):
    body = request(streaming, manager)
    with ThreadPoolExecutor(1) as sender:
        assert sender.submit(next, body).result(PATIENCE) == b"1"
        assert in_use() == ["GET /notes/7"]
        sender.submit(request, lambda *args: [b""], manager).result(PATIENCE)
    assert in_use() == []
    with pytest.raises(RuntimeError, match="was cut"):
        next(body)


def test_a_stream_may_be_in_a_block_of_its_own(manager):
    """Which is another scope, so between its pieces it is not the thread's."""
    insert = Raw("INSERT INTO kept VALUES (%s)", ["word"])
    Raw("CREATE TABLE kept (word text)")()
    manager.commit()
    own = manager.scopes.current()

    def lines():
        with manager.scope("export"):
            insert("first")
            yield b"1"
            insert("second")
            manager.commit()
            insert("never committed")
            yield b"2"

    body = request(lambda *args: lines(), manager)
    assert (next(body), manager.scopes.current()) == (b"1", own)
    insert("of the thread")
    manager.commit()
    assert (next(body), manager.scopes.current()) == (b"2", own)
    body.close()
    words = {row["word"] for row in Raw("SELECT word FROM kept")()}
    assert words == {"first", "second", "of the thread"}


@pytest.mark.parametrize("end", ["close", "close elsewhere", "drop", "next request"])
def test_a_stream_in_a_block_of_its_own_frees_the_connections_of_both(manager, in_use, end, caplog):
    def lines():
        backend()
        with manager.scope("export"):
            backend()
            yield b"1"

    body = request(lambda *args: lines(), manager)
    next(body)
    assert sorted(in_use()) == ["GET /notes/7", "export"]
    if end == "close":
        body.close()
    elif end == "close elsewhere":
        in_thread(body.close)
    elif end == "drop":
        del body
    else:
        request(lambda *args: [b""], manager)
    assert (in_use(), manager.scopes.current(), caplog.messages) == ([], None, [])


def test_a_request_ends_with_the_block_that_a_generator_of_it_is_in(manager, in_use):
    kept = []

    def rows():
        with manager.scope("rows"):
            yield b"%d" % backend()

    def application(environ, start_response):
        kept.append(rows())
        return [next(kept[-1])]

    def breaks(environ, start_response):
        application(environ, start_response)
        raise ZeroDivisionError

    assert request(application, manager)
    assert (manager.scopes.current(), in_use()) == (None, [])
    with pytest.raises(ZeroDivisionError):
        request(breaks, manager)
    assert (manager.scopes.current(), in_use()) == (None, [])
    kept.clear()


class Endless:
    """A body that is no generator, and would go on after its end: each piece is its session."""

    def __iter__(self):
        return self

    def __next__(self):
        return b"%d" % backend()


def test_a_body_that_was_closed_has_ended_and_takes_no_connection_again(manager, in_use):
    body = request(lambda *args: Endless(), manager)
    assert next(body)
    body.close()
    assert (next(body, "ended"), in_use()) == ("ended", [])


def test_a_body_that_has_ended_is_not_asked_again(manager):
    asked = []

    class Ends(Endless):
        def __next__(self):
            asked.append(backend())
            raise StopIteration

    body = request(lambda *args: Ends(), manager)
    assert (list(body), list(body), len(asked)) == ([], [], 1)


def test_a_body_that_is_closed_while_it_is_sent_keeps_no_connection(manager, in_use):
    asked, closed = threading.Event(), threading.Event()

    class Slow(Endless):
        def __next__(self):
            asked.set()
            closed.wait(PATIENCE)
            return super().__next__()

    body = request(lambda *args: Slow(), manager)
    with ThreadPoolExecutor(1) as sender:
        piece = sender.submit(next, body)
        asked.wait(PATIENCE)
        body.close()
        closed.set()
        with pytest.raises(TransactionLost, match="ended in another thread"):
            piece.result(PATIENCE)
    assert (next(body, "ended"), in_use()) == ("ended", [])


def test_an_error_document_does_not_end_the_stream_it_replaces(manager, in_use):
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/"}
    middleware = ManagerMiddleware(streaming, manager)
    body = middleware(environ, None)
    next(body)
    ManagerMiddleware(lambda *args: [b""], manager)(environ.copy(), None)
    assert in_use() == ["GET /"]
    assert list(body) == [b"2"]


def test_a_page_made_of_two_streams_gets_both_whole(manager, in_use):
    def page(environ, start_response):
        parts = [request(streaming, manager, f"/part/{n}") for n in (1, 2)]
        return (b"".join(pair) for pair in zip(*parts, strict=True))

    assert list(request(page, manager)) == [b"11", b"22"]
    assert in_use() == []


def test_a_stream_may_make_a_request_itself(manager, in_use):
    def page(environ, start_response):
        yield b"%d" % backend()
        yield from request(streaming, manager, "/inner")
        yield b"%d" % backend()

    first, *inner, last = request(page, manager)
    assert (inner, last) == ([b"1", b"2"], first)
    assert in_use() == []


def test_two_threads_at_one_stream_keep_their_own_scopes(manager):
    """One sends the body while the other closes it: neither takes the other's scope away."""
    inside, go_on = threading.Event(), threading.Event()

    class Body:
        def __iter__(self):
            inside.set()
            go_on.wait(PATIENCE)
            yield b""

        def close(self):
            go_on.set()
            sender.join(PATIENCE)

    body = request(lambda *args: Body(), manager)
    theirs = []

    def send():
        theirs.append(backend())
        list(body)
        theirs.append(backend())
        manager.cleanup()

    mine = backend()
    sender = threading.Thread(target=send)
    sender.start()
    inside.wait(PATIENCE)
    body.close()
    assert backend() == mine
    assert theirs == [theirs[0]] * 2 != [mine] * 2


def test_what_a_stream_does_when_another_thread_has_closed_it_is_not_committed(manager, in_use):
    inside, closed, raised = threading.Event(), threading.Event(), []
    Raw("CREATE TABLE halves (half int)")()
    manager.commit()

    def pieces():
        Raw("INSERT INTO halves VALUES (1)")()
        inside.set()
        closed.wait(PATIENCE)
        try:
            Raw("INSERT INTO halves VALUES (2)")()
            manager.commit()
        except TransactionLost as error:
            raised.append(error)
        yield b""

    body = request(lambda *args: pieces(), manager)
    sender = threading.Thread(target=lambda: list(body))
    sender.start()
    inside.wait(PATIENCE)
    with pytest.raises(ValueError, match="generator already executing"):
        body.close()
    closed.set()
    sender.join()
    assert raised
    assert Raw("SELECT FROM halves")().rowcount == 0
    manager.cleanup()
    assert in_use() == []


def test_a_stream_that_another_thread_drops_frees_the_connection(manager, in_use):
    bodies = [request(streaming, manager)]
    next(bodies[0])
    thread = threading.Thread(target=bodies.clear)
    thread.start()
    thread.join()
    assert in_use() == []


def test_the_body_is_closed_before_its_scope(manager):
    seen = []
    body = request(lambda *args: Querying(seen), manager)
    session = int(next(body))
    body.close()
    assert seen == [session]


def test_a_file_for_the_server_stays_what_it_is(manager, tmp_path):
    class FileWrapper:
        def __init__(self, file):
            self.file = file

    file = FileWrapper(None)
    environ = {"wsgi.file_wrapper": FileWrapper}
    assert request(lambda *args: file, manager, **environ) is file


def test_two_managers_are_two_wrappers(make_manager):
    first, second = make_manager(default=False), make_manager()
    seen = []

    def application(environ, start_response):
        backend()
        first.handle().execute("SELECT 1")
        seen.extend(entry.label for m in (first, second) for entry in m.status())
        return [b""]

    request(ManagerMiddleware(application, first), second)
    assert seen == ["GET /notes/7"] * 2
    assert [entry.state for m in (first, second) for entry in m.status()] == ["idle"] * 2
