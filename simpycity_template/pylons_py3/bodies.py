"""Bodies of WSGI: what an action or an application returned, as bytes, and closed once."""


def with_body(response, body, maker):
    """Return the response with a body; or the body, where it is an application that answers itself.

    Arguments:
        response: Pylons' own.
        body: what an action returned.
        maker: the action.

    Raises:
        TypeError: it is neither.
    """
    if callable(body):
        return body
    response.app_iter = encoded(body, response.charset, maker)
    return response


def encoded(body, charset, maker):
    """Return a WSGI body with its pieces of text encoded.

    Files of bytes, and wrappers that hand a file to the server, stay as they are.

    Arguments:
        body: what was returned.
        charset: that of its text; UTF-8 where it is None.
        maker: the action, or the application, that returned it.

    Raises:
        TypeError: where it is no body. Of a generator, its first wrong piece tells it.
    """
    if (hasattr(body, "read") or hasattr(body, "file")) and not hasattr(body, "encoding"):
        return body
    if isinstance(body, (str, bytes)):
        body = [body]
    if isinstance(body, (list, tuple)):
        return [_encode(piece, charset, maker) for piece in body]
    return Encoded(body, charset, maker)


class Encoded:
    """A body whose pieces of text are encoded as they are asked for."""

    def __init__(self, body, charset, maker):
        self._body = body
        try:
            self._pieces = iter(body)
        except TypeError as error:
            raise _no_body(maker, type(body).__name__) from error
        self._charset = charset
        self._maker = maker

    def __iter__(self):
        return self

    def __next__(self):
        return _encode(next(self._pieces), self._charset, self._maker)

    def close(self):
        """Close the body."""
        close(self._body)


def _encode(piece, charset, maker):
    if isinstance(piece, str):
        return piece.encode(charset or "utf-8")
    if isinstance(piece, (bytes, bytearray, memoryview)):
        return piece
    raise _no_body(maker, f"an iterable of {type(piece).__name__}")


def _no_body(maker, returned):
    # No line of the application is in the traceback: it has returned by then.
    named = maker if hasattr(maker, "__qualname__") else type(maker)
    return TypeError(
        f"{named.__module__}.{named.__qualname__} returned {returned}: "
        "it has to be text, bytes, or an iterable of these"
    )


def close(body):
    """Close a WSGI body that can be closed."""
    if hasattr(body, "close"):
        body.close()


def replacing(environ, call, application, new_environ):
    """Call an application for the body that replaces another one.

    The body that it replaces can be read by the application (as ``pylons.original_response``), up to the
    end of the second, and is closed with it.

    Returns:
        status, headers, body and exc_info, as `call` returns them.
    """
    replaced = environ["pylons.original_response"]
    try:
        status, headers, body, exc_info = call(application, new_environ, catch_exc_info=True)
    except BaseException:
        close(replaced.app_iter)
        raise
    return status, headers, Following(body, replaced), exc_info


class Following:
    """A body that closes the response before it with itself."""

    def __init__(self, body, response):
        self._body = body
        self._response = response

    def __iter__(self):
        return iter(self._body)

    def close(self):
        """Close both bodies."""
        try:
            close(self._body)
        finally:
            # It is another one, with nothing to close, where the application has read it.
            close(self._response.app_iter)
