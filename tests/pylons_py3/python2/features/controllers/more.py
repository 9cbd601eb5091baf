# -*- coding: utf-8 -*-
import datetime
from pylons import request, response, session, tmpl_context as c, url, app_globals, config
from pylons.controllers.util import abort, redirect, forward, etag_cache
from pylons.decorators import jsonify, validate
from pylons.decorators.cache import beaker_cache
from pylons.decorators.rest import dispatch_on, restrict
from pylons.decorators.secure import authenticate_form
from pylons.i18n import (_, N_, add_fallback, get_lang, gettext, lazy_gettext, lazy_ngettext, lazy_ugettext,
                         lazy_ungettext, ngettext, set_lang, ugettext, ungettext)
from pylons.templating import render_mako, render_mako_def
import formencode
from formencode import validators
from webhelpers.html import HTML, literal
from webhelpers.pylonslib import Flash
from webhelpers.pylonslib.secure_form import secure_form
from webob.exc import HTTPFound
from features.controllers.hello import show, T
from features.lib.base import BaseController, render
flash = Flash()
LAZY = lazy_ugettext(u'hello')
LAZY_MANY = lazy_ungettext(u'%d file', u'%d files', 2)
class Person(formencode.Schema):
    allow_extra_fields = True
    pre_validators = [formencode.variabledecode.NestedVariables()]
    name = validators.UnicodeString(not_empty=True, max=5)
    email = validators.Email(not_empty=False)
    ages = formencode.ForEach(validators.Int())


class MoreController(BaseController):
    def __before__(self):
        c.steps = ['before']
    def __after__(self):
        response.headers['X-After'] = ','.join(c.steps)
    def lang(self, id='de'):
        set_lang(id)
        return u' '.join([show(_('hello')), show(ugettext('bye')), show(ungettext('%d file', '%d files', 2) % 2),
                          show(T(LAZY)), show(LAZY_MANY % 2), show(get_lang())])
    def plural(self, id='pl'):
        set_lang(id)
        return u' '.join(show(ungettext('%d file', '%d files', n) % n) for n in (0, 1, 2, 5, 12, 21, 22))
    def plural_plain(self, id='de'):
        set_lang(id)
        return u' '.join(show(ngettext('%d file', '%d files', n) % n) for n in (0, 1, 2))
    def plain(self, id='de'):
        set_lang(id)
        return show(gettext('hello')) + show(T(lazy_gettext('hello'))) + show(T(lazy_ngettext('%d file', '%d files', 1)))
    def lang_of(self):
        for one in request.languages:
            if one in ('de', 'pl'):
                set_lang(one)
                break
        return show(_('hello')) + show(get_lang()) + show(u','.join(T(x) for x in request.languages))
    def fallback(self, id='pl'):
        set_lang('de')
        add_fallback(id)
        return show(_('hello')) + show(_('only polish')) + show(_('neither'))
    def lang_list(self):
        set_lang(['xx', 'pl'], fallback=True)
        return show(_('hello'))
    def lang_none(self):
        set_lang('de')
        set_lang(None)
        return show(_('hello')) + show(get_lang())
    def lazy(self):
        set_lang('de')
        return u' '.join(show(T(x)) for x in [T(LAZY) + u'!', LAZY == u'hello', T(LAZY)[0], bool(LAZY)])
    def marked(self):
        set_lang('de')
        return show(N_('hello')) + show(_(N_('hello')))
    def template_lang(self):
        set_lang('de')
        return render('/more.mako', extra_vars={'x': u'<\xf6>'})
    def template_def(self):
        return render_mako_def('/more.mako', 'part', x=u'<\xf6>')
    def template_cached(self, id='1'):
        c.value = id
        return render('/page.mako', cache_key='k', cache_expire=100)
    def template_literal(self):
        c.value = literal('<b>x</b>')
        return render('/page.mako')
    def ses_types(self):
        session['types'] = [u'\xf6', 1, 1.5, None, True, {'a': [1]}, (1, 2), datetime.date(2010, 1, 2)]
        session.save()
        return show(len(session['types']))
    def ses_read(self):
        return u' '.join(show(x) for x in session.get('types', ['none']))
    def ses_unsaved(self):
        session['unsaved'] = session.get('unsaved', 0) + 1
        return show(session['unsaved'])
    def ses_keys(self):
        return u' '.join(sorted(k for k in session.keys() if not k.startswith('_')))
    def ses_missing(self):
        return session['nope']
    def ses_invalidate(self):
        session['gone'] = 1
        session.invalidate()
        session['after'] = 1
        session.save()
        return u' '.join(sorted(k for k in session.keys() if not k.startswith('_')))
    def ses_revert(self):
        session['n'] = 99
        session.revert()
        return show(session.get('n', 'none'))
    def ses_pop(self):
        popped = session.pop('types', u'none')
        session.save()
        return show(len(popped)) + show('types' in session)
    def ses_dict(self):
        session.update({'a': 1})
        session.setdefault('b', 2)
        session.save()
        return show(sorted(k for k in session if not k.startswith('_')))
    def flash_(self):
        flash(u'gr\xfc\xdfe <b>')
        flash('second', 'error')
        return 'flashed'
    def flashed(self):
        return u' '.join(show(T(m)) + show(m.category) + show(m.__html__()) for m in flash.pop_messages())
    def secure_form_(self):
        return show(len(secure_form('/x', method='post')) > 60)
    @authenticate_form
    def secure_post(self):
        return 'posted'
    def json_types(self):
        response.headers['X-Y'] = 'z'
        return self._json()
    @jsonify
    def _json(self):
        return {'t': (1, 2), 'n': None, 'd': {u'\xf6': [True]}, 'e': u''}
    @jsonify
    def json_bad(self):
        return {'o': object()}
    @jsonify
    def json_date(self):
        return {'d': datetime.date(2010, 1, 2)}
    def form(self):
        return u'''<form><form:error name="name"><input name="name"><form:iferror name="email">E</form:iferror>
<input name="email"><select name="ages-0"><option value="1">1<option value="2">2</select><textarea name="text"></textarea>
<input type="checkbox" name="box" value="y"><input type="radio" name="r" value="a"><input type="radio" name="r" value="b">'''
    @validate(schema=Person(), form='form')
    def person(self):
        return u' '.join('%s=%s' % (k, show(v)) for k, v in sorted(self.form_result.items()) if k in ('name', 'email', 'ages'))
    @validate(schema=Person(), form='form', post_only=False, on_get=True, auto_error_formatter=lambda e: u'<i>%s</i>' % e)
    def person_get(self):
        return show(self.form_result['name'])
    @validate(schema=Person(), form='form', force_defaults=False, text_as_default=True)
    def person_text(self):
        return show(self.form_result['name'])
    @validate(schema=Person(), form='form', ignore_request=True)
    def person_ignored(self):
        return show(self.form_result['name'])
    @validate(validators={'n': validators.Int(min=3), 't': validators.DateConverter()}, form='form')
    def numbers(self):
        return show(self.form_result.get('n'))
    def redirect_code(self, id='307'):
        redirect(url(controller='more', action='lang', id=u'd\xe9'), code=int(id))
    def redirect_raise(self):
        raise HTTPFound(location='/x?a=b&c=d')
    def redirect_query(self):
        redirect(url.current(action='lang', q=[u'\xf6', 'b'], _anchor=u'x'))
    def redirect_headers(self):
        response.set_cookie('kept', 'yes')
        response.headers['X-Kept'] = 'yes'
        redirect('/x')
    def abort_all(self, id='503'):
        abort(int(id))
    def abort_html(self):
        abort(404, detail=literal('<b>x</b>'), headers={'X-A': 'b'})
    def urls(self):
        return u' '.join(show(T(x)) for x in [
            url('static', id=3, q=1), url('away', id='x'), url('limited', id=7), url('home', protocol='https'),
            url('home', host='example.com', qualified=True), url('home', _anchor='a'), url(controller='more', action='x', id=u'\u20ac'),
            url('/a b'), url('edit_item', id=u'\xf6'), url('formatted_item', id=1, format='xml'), url('named', id='a/b?c#d'), url.current(qualified=True), url('/x', q=b'b')])
    def urls_current(self):
        return u' '.join(show(T(x)) for x in [
            url.current(_host='example.com'), url.current(_protocol='https'), url.current(_anchor='a x'),
            url.current(protocol='https'), url.current(q=[u'\xf6', 'b'], _host='h'), url.current(action='x', id=u'\xf6', qualified=True), url.current(id=None)])
    def url_missing(self):
        return url('no such route', id=1)
    def request_more(self):
        return u' '.join(show(T(x)) for x in [
            request.path_url, request.application_url, request.host_url, request.scheme, request.query_string, request.remote_addr,
            request.is_xhr, request.referer, request.user_agent, request.content_length, request.if_none_match, request.range, request.date,
            request.urlvars.get('action'), request.authorization, request.cache_control])
    def request_params(self):
        return u' '.join(show(T(x)) for x in [
            sorted(request.params.mixed()) == sorted(request.params.keys()) or 'twice', request.params.getall('a'), request.GET.get('a'), 'a' in request.params,
            len(request.params), request.params.get('zz', 'none')] if not isinstance(x, list)) + u'|'.join(show(x) for x in request.params.getall('a'))
    def request_one(self):
        return show(request.params.getone('a'))
    def response_more(self):
        response.status = 203
        response.content_language = 'de'
        response.expires = datetime.datetime(2010, 1, 2)
        response.vary = ('Cookie', 'Accept')
        response.allow = ['GET', 'POST']
        response.location = '/somewhere'
        response.content_disposition = 'inline'
        return 'x'
    def response_cookies(self):
        response.set_cookie('a', u'\xf6', max_age=5, httponly=True, secure=True, domain='example.com')
        response.set_cookie('b', 'x;y', expires=datetime.datetime(2030, 1, 2))
        response.unset_cookie('b', strict=False)
        return u' '.join(show(x.split(';')[0]) for x in response.headers.getall('Set-Cookie'))
    def response_deleted(self):
        del response.headers['Cache-Control']
        del response.headers['Pragma']
        return 'x'
    def response_iter(self):
        response.app_iter = [b'a', b'b']
    def response_both(self):
        response.write('written')
        return 'returned'
    def response_none_type(self):
        response.content_type = None
        return 'x'
    def etag_given(self):
        etag_cache('x')
        response.headers['X-Z'] = 'no'
        return 'x'
    @beaker_cache(expire=100, type='file')
    def file_cached(self, id='1'):
        app_globals.count += 1
        return show(id) + show(app_globals.count)
    @beaker_cache(expire=100, type='dbm', query_args=True)
    def dbm_cached(self):
        app_globals.count += 1
        return show(request.params.get('q')) + show(app_globals.count)
    @beaker_cache(key='id', expire='never', cache_headers=('content-type', 'x-h'))
    def header_cached(self, id='1'):
        app_globals.count += 1
        response.headers['X-H'] = 'h%d' % app_globals.count
        response.content_type = 'text/plain'
        return show(app_globals.count)
    @beaker_cache(expire=100, invalidate_on_startup=True)
    def startup_cached(self):
        app_globals.count += 1
        return show(app_globals.count)
    @dispatch_on(POST='posted', DELETE='deleted')
    @restrict('GET')
    def dispatched(self):
        return 'got'
    @restrict('POST')
    def posted(self):
        return 'posted'
    def deleted(self):
        return 'deleted'
    def context(self):
        c.a = 1
        c.b = [u'\xf6']
        del c.a
        return show(hasattr(c, 'a')) + show(c.b[0]) + show(T(c.steps))
    def context_missing(self):
        return c.never
    def globals_(self):
        return show(config['pylons.package']) + show(app_globals is not None) + show('debug' in config)
    def html(self):
        return HTML.p(u'<\xf6>', HTML.b('x'))
    def subclass(self):
        class Text(type(u'')):
            pass
        return Text(u'\xf6')
    def unicode_list(self):
        return [u'\xf6', u'\u20ac', b'x']
    def tuple_(self):
        return ('a', u'\xf6')
    def generator(self):
        yield u'\xf6'
        yield 'b'
    def environ_(self, environ):
        return show(environ['PATH_INFO'].encode('latin-1').decode('utf-8', 'replace') if str is not bytes else environ['PATH_INFO'].decode('utf-8', 'replace'))
    def exception(self):
        raise HTTPFound(location='/y').exception
    def zero(self):
        return 1 / 0
    def start_response_(self, start_response):
        start_response('200 OK', [('Content-Type', 'text/plain'), ('X-Own', 'y')])
        return [b'own']
