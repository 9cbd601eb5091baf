import os
from pylons.configuration import PylonsConfig
from mako.lookup import TemplateLookup
from features.config.routing import make_map
import features.lib.app_globals as app_globals, features.lib.helpers
import pylons
def load_environment(global_conf, app_conf):
    config = PylonsConfig()
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    paths = dict(root=root, controllers=os.path.join(root,'controllers'), static_files=os.path.join(root,'public'), templates=[os.path.join(root,'templates')])
    config.init_app(global_conf, app_conf, package='features', paths=paths)
    config['routes.map'] = make_map(config)
    config['pylons.app_globals'] = app_globals.Globals(config)
    config['pylons.h'] = features.lib.helpers
    pylons.cache._push_object(config['pylons.app_globals'].cache)
    config['pylons.app_globals'].mako_lookup = TemplateLookup(directories=paths['templates'], input_encoding='utf-8', default_filters=['escape'], imports=['from webhelpers.html import escape'])
    return config
