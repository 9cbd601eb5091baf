from pylons.controllers import JSONRPCController
from pylons.controllers.jsonrpc import JSONRPCError
class JrpcController(JSONRPCController):
    def add(self, a, b):
        return a + b
    def type_error(self):
        return 1 + 'x'
    def inner(self, a):
        def f(x, y):
            return 1
        return f(a)
    def text(self, t):
        return t + u'\xf6'
    def fail(self):
        raise JSONRPCError('no')
