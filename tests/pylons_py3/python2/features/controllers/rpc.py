from pylons.controllers import XMLRPCController
class RpcController(XMLRPCController):
    def add(self, a, b):
        return a + b
    add.signature = [['int', 'int', 'int']]
    def fail(self):
        return {}['x']
    def text(self, t):
        return t + u'\xf6'
