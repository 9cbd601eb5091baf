from webhelpers.html.tags import *
from webhelpers.html import literal, escape
from pylons import url
