# -*- coding: utf-8 -*-
from __future__ import print_function
import datetime
import os
from pylons import request, response, session, tmpl_context as c, url, app_globals
from pylons.controllers.util import abort, redirect, forward, etag_cache
from pylons.decorators import jsonify, validate
from pylons.decorators.cache import beaker_cache
from pylons.decorators.rest import dispatch_on, restrict
from pylons.decorators.secure import authenticate_form, https
from pylons.i18n import _, ungettext, set_lang, get_lang, lazy_ugettext
from webob import Response
from webob.exc import HTTPNotFound
import formencode
from formencode import validators
from paste.fileapp import FileApp, DataApp
from features.lib.base import BaseController, render
class Form(formencode.Schema):
    allow_extra_fields = True
    filter_extra_fields = True
    name = validators.UnicodeString(not_empty=True)
    age = validators.Int(if_missing=None)
T = type(u'')
def show(value):
    """Write a value in ASCII, alike on both Pythons."""
    if str is bytes and isinstance(value, str):
        value = value.decode('utf-8')
    if isinstance(value, T):
        return u''.join(ch if 32 <= ord(ch) < 127 else u'\\u%04x' % ord(ch) for ch in value)
    return T(repr(value))


class HelloController(BaseController):
    def index(self):
        return u'index \xf6'
    def show(self, id='none'):
        return u'show ' + show(id)
    def str_(self):
        return 'plain'
    def bytes_(self):
        return u'b\xf6'.encode('utf-8')
    def none(self):
        return None
    def number(self):
        return 5
    def gen(self):
        def g():
            yield b'a'
            yield b'b'
        return g()
    def gen_text(self):
        def g():
            yield 'a'
            yield u'b'
        return g()
    def lst(self):
        return ['a', 'b']
    def resp(self):
        return Response(u'r\xf6', content_type='text/plain', charset='utf-8')
    def resp_json(self):
        return Response('{}', content_type='application/json')
    def resp_json_u(self):
        return Response(u'{}', content_type='application/json')
    def head_json(self):
        response.headers['Content-Type'] = 'application/json'
        response.write('{}')
    def head_json_ret(self):
        response.headers['Content-Type'] = 'application/json'
        return '{}'
    def head_json_ret_u(self):
        response.headers['Content-Type'] = 'application/json'
        return u'{"\xf6": 1}'
    def csv(self):
        response.content_type = 'text/csv'
        return 'a,b\n'
    def csv_head(self):
        response.headers['Content-Type'] = 'text/csv'
        response.headers['Content-Disposition'] = 'attachment; filename=x.csv'
        response.write('a,b\n')
        print('1,2', file=response)
    def csv_body(self):
        response.content_type = 'text/csv'
        response.body = b'a,b\n'
    def png(self):
        response.content_type = 'image/png'
        return b'\x89PNG\x00\xff'
    def png_head(self):
        response.headers['Content-Type'] = 'image/png'
        return '\x00abc'
    def charset(self):
        response.charset = 'latin-1'
        return u'\xf6'
    def no_charset(self):
        response.charset = None
        return 'abc'
    def latin(self):
        response.headers['Content-Type'] = 'text/html; charset=iso-8859-1'
        return u'\xf6'
    def unicode_body(self):
        response.unicode_body = u'\xf6'
    def body_file(self):
        response.body_file.write(b'abc')
    def status(self):
        response.status = '201 Created'
        response.status_int = 202
        return 'x'
    def app(self):
        return FileApp(os.path.join(os.path.dirname(__file__), 'static.txt'))
    def data(self):
        return DataApp(b'abc', content_type='text/x-y')
    def wsgi_fn(self):
        def app(environ, start_response):
            start_response('200 OK', [('Content-Type', 'text/x-z')])
            return [b'wsgi']
        return app
    def forward_(self):
        return forward(DataApp(b'fwd', content_type='text/x-y'))
    def abort_(self, id='404'):
        abort(int(id), u'd\xe9tail', comment=u'comm')
    def abort_h(self):
        abort(401, headers=[('WWW-Authenticate', 'Basic realm="x"')])
    def notfound(self):
        return HTTPNotFound('nf')
    def raise_(self):
        raise HTTPNotFound('nf')
    def redir(self):
        redirect(url('named', id=u'\xf6'))
    def redir2(self):
        redirect(u'/p/\xf6')
    def redir3(self):
        redirect('/a', 301)
    def redir4(self):
        redirect(url(controller='hello', action='show', id='x y', q=u'\xe4&'))
    def params(self):
        return u' '.join(u'%s=%s' % (show(k), show(v)) for k, v in sorted(request.params.items(), key=lambda kv: (show(kv[0]), show(kv[1]))))
    def get_(self):
        return u' '.join(u'%s=%s' % (show(k), show(v)) for k, v in request.GET.items())
    def post_(self):
        return u' '.join(u'%s=%s' % (show(k), show(v) if not hasattr(v, 'filename') else u'FILE %s %s %d' % (show(v.filename), v.type, len(v.value))) for k, v in request.POST.items())
    def req(self):
        return u' '.join(show(x) for x in [request.path, request.path_info, request.script_name, request.path_qs, request.url, request.method, request.host, request.content_type])
    def headers(self):
        return u' '.join(u'%s=%s' % (k, show(v)) for k, v in sorted(request.headers.items()) if k.startswith('X-') or k in ('Accept', 'Cookie'))
    def cookies(self):
        return u' '.join(u'%s=%s' % (show(k), show(v)) for k, v in sorted(request.cookies.items()))
    def set_cookie(self):
        response.set_cookie('a', 'b c', max_age=10, path='/x')
        response.set_cookie('u', u'\xf6'.encode('utf-8') if str is bytes else u'\xf6')
        response.delete_cookie('d')
        return 'ok'
    def signed(self): 
        response.signed_cookie('s', {'a': 1}, secret='x')
        return show(sorted((request.signed_cookie('s', 'x') or {}).items()) if request.cookies.get('s') else u'')
    def langs(self):
        return u' '.join(show(T(x)) for x in request.languages)
    def best(self):
        return show(request.accept.best_match(['text/html', 'application/json']))
    def match(self):
        return show(T(request.determine_browser_charset())) + u' ' + show(request.match_accept(['text/html', 'application/json']))
    def body_(self):
        return show(request.body.decode('latin-1'))
    def env(self):
        return show(T(request.environ['pylons.routes_dict'])) if 0 else u' '.join(u'%s=%s' % (k, show(v)) for k, v in sorted(request.environ['pylons.routes_dict'].items()))
    def url_(self):
        return u' '.join(show(T(x)) for x in [url('home'), url('named', id='1'), url('named', id=u'\xf6', x=u'\xe4'), url(controller='hello', action='x'), url('/p', q=[1, 2]), url('/\xc3\xb6' if str is bytes else u'/\xf6'), url.current(), url.current(a=1), url('home', qualified=True), url('http://x/', a='b'), url('new_item'), url('item', id=3), url('formatted_items', format='json')])
    @jsonify
    def json(self):
        return {'a': [1, u'\xf6', None, 1.5, True], 'b': {'c': 'd'}}
    @jsonify
    def json_list(self):
        return [1]
    @jsonify
    def json_str(self):
        return u'\xf6'
    def ses(self, id='n'):
        session['n'] = session.get('n', 0) + 1
        session['t'] = u'\xf6'
        session.save()
        return show(session['n'])
    def sesdel(self):
        session.delete()
        return 'x'
    def cached(self):
        def f():
            return u'made \xf6'
        return app_globals.cache.get_cache('x').get_value(key='k' + request.params.get('k', ''), createfunc=f, expiretime=100)
    @beaker_cache(expire=100, query_args=True)
    def bcached(self, id='0'):
        response.headers['X-Id'] = str(id)
        return u'b ' + show(id) + show(request.params.get('q', ''))
    @beaker_cache(key=['id'], expire=100, cache_response=False)
    def bcached2(self, id='0'):
        return u'b2 ' + show(id)
    @https('/hello/show/secure')
    def secure(self):
        return 's'
    @https()
    def secure2(self):
        return 's'
    @restrict('POST')
    def only_post(self):
        return 'p'
    @restrict('GET', 'HEAD')
    def only_get(self):
        return 'g'
    @dispatch_on(POST='post_form')
    def disp(self):
        return 'get form'
    def post_form(self):
        return 'posted'
    def form(self):
        return u'<form method="post"><input name="name" value="v"/><input type="text" name="age"/></form>'
    def bform(self):
        return u'<form method="post"><input name="name"/>\xf6<input type="text" name="age"/></form>'.encode('utf-8')
    @validate(schema=Form(), form='form')
    def save(self):
        return u'saved ' + show(self.form_result.get('name')) + u' ' + show(self.form_result.get('age'))
    @validate(schema=Form(), form='bform', post_only=False, on_get=True)
    def bsave(self):
        return u'saved ' + show(self.form_result.get('name'))
    @validate(validators={'name': validators.Email()}, form='form')
    def vsave(self):
        return u'v'
    @validate(schema=Form(), form='form', prefix_error=False, variable_decode=True)
    def dsave(self):
        return u'saved ' + show(self.form_result.get('name'))
    @authenticate_form
    def auth(self):
        return 'auth ok'
    def token(self):
        from webhelpers.pylonslib.secure_form import authentication_token
        return u'%s' % authentication_token().isdigit()
    def page(self):
        c.value = request.params.get('v', u'<\xf6>')
        return render('/page.mako')
    def page_missing(self):
        return render('/nope.mako')
    def ctx(self):
        return show(T(hasattr(c, 'foo'))) + show(T(getattr(c, 'bar', 'dflt'))) + show(T(c.zzz if hasattr(c, 'zzz') else 'none'))
    def trans(self):
        return show(_('hello')) + show(ungettext('one', 'many', 2)) + show(T(lazy_ugettext('lazy'))) + show(get_lang())
    def lazysort(self):
        return u' '.join(T(x) for x in sorted([lazy_ugettext('b'), lazy_ugettext('a'), lazy_ugettext('c')]))
    def etag(self):
        etag_cache('abc')
        return 'etagged'
    def error(self):
        raise ValueError('boom')
    def keyerr(self):
        return {}['x']
    def writes(self):
        response.write('a')
        response.write(u'b\xf6')
        response.write('c')
    def ctypes(self):
        return show(response.content_type) + show(response.charset) + show(response.headers['Content-Type'])
    def multi(self):
        response.headers.add('X-A', '1')
        response.headers.add('X-A', '2')
        return 'm'
    def head_u(self):
        response.headers[u'X-U'] = u'abc'
        return 'x'
    def lastmod(self):
        response.last_modified = datetime.datetime(2010, 1, 2, 3, 4, 5)
        response.cache_control = 'public, max-age=3'
        response.cache_expires(5)
        return 'x'
    def _private(self):
        return 'no'
    def __before__(self, action): 
        c.before = action
    def before_(self):
        return show(c.before)
    def args(self, environ, start_response, id=None):
        return show(T(type(environ).__name__)) + show(id)
    def kw(self, **kw):
        return u' '.join(sorted(kw))
    def defarg(self, missing, id='x'):
        return 'x'
    def iso(self):
        request.charset = 'latin-1'
        return show(request.params.get('a', ''))
    def method(self):
        return show(request.method) + show(T(request.is_xhr)) + show(request.params.get('_method', ''))
    def update(self, id):
        return u'update ' + show(id)
    def delete(self, id):
        return u'delete ' + show(id)
    def new(self):
        return 'new'
    def edit(self, id):
        return u'edit ' + show(id)
    def create(self):
        return u'create ' + show(request.params.get('x', ''))
    def generated(self):
        exec("def f(): raise ValueError('gen')\nf()", {})
    def head_body(self):
        response.headers['Content-Type'] = 'text/csv'
        response.body = 'a,b'
    def head_content(self):
        response.content = 'abc'
    def bfile(self):
        response.headers['Content-Type'] = 'text/csv'
        response.body_file.write('abc')
    def hdr_text(self):
        response.content_type = 'application/pdf'
        return 'abc'
    def redir_u(self):
        redirect(u'/p/\xf6?a=1&b="')
