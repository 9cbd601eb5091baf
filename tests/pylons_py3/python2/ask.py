"""Puts requests to a server, by HTTP."""

from http.client import HTTPConnection

import serve


class Connection(HTTPConnection):
    """Sends any address, as a browser might."""

    def _encode_request(self, request):
        return request.encode("utf-8")

    def _validate_path(self, url):
        pass


def answers(port, requests):
    """Yield the answers to requests, one after the other."""
    cookies = {}
    for request in requests:
        connection = Connection("127.0.0.1", port, timeout=300)
        method = request.get("method", "GET")
        connection.putrequest(method, request["url"], skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", "localhost")
        for name, value in serve.headers_of(request, cookies):
            connection.putheader(name, value.encode("utf-8"))
        body = request.get("body", "").encode("latin-1")
        if body:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        data = response.read()
        headers = response.getheaders()
        serve.keep(cookies, request.get("jar"), headers)
        connection.close()
        yield serve.as_answer(f"{response.status} {response.reason}", headers, data)
