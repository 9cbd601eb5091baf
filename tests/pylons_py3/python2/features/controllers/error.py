from pylons import request, tmpl_context as c
from features.lib.base import BaseController
from webhelpers.html.builder import literal
class ErrorController(BaseController):
    def document(self):
        resp = request.environ.get('pylons.original_response')
        return "ERRDOC %s %s" % (request.GET.get('code', ''), request.GET.get('message', ''))
