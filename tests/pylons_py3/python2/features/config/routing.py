from routes import Mapper
def make_map(config):
    map = Mapper(directory=config['pylons.paths']['controllers'], always_scan=config['debug'])
    map.minimization = False
    map.explicit = False
    map.redirect('/old/{id}', '/named/{id}')
    map.redirect('/older/{id}', '/hello/show/{id}', _redirect_code='301 Moved Permanently')
    map.connect('named', '/named/{id}', controller='hello', action='show')
    map.connect('home', '/', controller='hello', action='index')
    map.connect('/rpc', controller='rpc')
    map.connect('/jrpc', controller='jrpc')
    map.connect('static', '/static/{id}/x', _static=True)
    map.connect('away', 'http://example.com/{id}', _static=True)
    map.connect('limited', r'/limited/{id:\d+}', controller='hello', action='show', conditions={'method': ['GET']})
    map.resource('item', 'items', controller='hello')
    map.connect('/{controller}/{action}')
    map.connect('/{controller}/{action}/{id}')
    return map
