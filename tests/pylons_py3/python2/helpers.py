"""Expressions of WebHelpers that are put to Python 2.7 and to ours.

``«»`` stands for a value; each expression is made once for each of VALUES.
"""

import json

VALUES = [
    '"a <b> & c"',
    '"x"',
    '""',
    'literal("a <b>x</b> &amp; c")',
    'literal("x")',
    "None",
    '"\\u00f6\\u00e4"',
    'literal("\\u00f6 &amp; <i>\\u20ac</i>")',
    "5",
    "1.5",
    "True",
    '"line1\\nline2\\n\\nline3"',
    'literal("l1 &lt;\\nl2\\n\\n<b>l3</b>")',
    '"Go to http://www.example.com/?a=1&b=2 or me@example.com, \'q\' \\"d\\""',
    'literal("<a href=\\"/x\\">link &amp; more</a> tail")',
    'b"by"',
]

TEMPLATES = r"""
HTML(«»)
HTML.p(«»)
HTML.p(c=«»)
HTML.tag("em", «», class_=«»)
HTML.comment(«»)
HTML.cdata(«»)
HTML.literal(«»)
literal(«»)
escape(«»)
HTML.a("t", href=«»)
HTML.br(«»)
HTML.div(«», "z", _nl=True)
HTML.div(«», _closed=False)
format_attrs(a=«», b_="q")
make_tag("x", «»)
make_tag("br", title=«»)
HTML.td(data_id=«», checked_=«»)
literal(«»)+"<"
"<"+literal(«»)
literal("%s|%s") % («», «»)
literal("%(a)s") % {"a": «»}
literal("{0}").format(«»)
literal(",").join(["<", «»])
literal(«»).unescape()
literal(«»).striptags()
literal(«»).upper()
literal(«»)[1:3]
literal(«»).split()
literal(«»).replace("x", "<")
literal(«»).partition("x")
literal.escape(«»)
repr(literal(«»))[:3]
lit_sub("[ax]", "<q>", «»)
lit_sub("[ax]", literal("<q>"), «»)
lit_sub("([ax])", r"<\1>", «»)
lit_sub("(?P<n>[ax])", r"\g<n>&\\", «»)
lit_sub("[ax&]", lambda m: HTML.b(m.group()), «»)
lit_sub("x", lambda m: "<" + m.group(0), «», 1)
tools.strip_tags(«»)
tools.strip_links(«»)
tools.auto_link(«»)
tools.auto_link(«», link="urls", class_="k")
tools.auto_link(«», link="email_addresses")
tools.highlight(«», "x")
tools.highlight(«», "&")
tools.highlight(«», ["a", "l"], class_="h")
tools.highlight(«», "X", case_sensitive=True)
tools.highlight(«», "x", highlighter="<u>\\1</u>")
tools.highlight(«», re.compile("[a-c]"))
tools.button_to(«», "/u")
tools.button_to("n", «»)
tools.button_to("n", "/u", method="DELETE", disabled=«»)
tools.js_obfuscate(«»)
tools.mail_to("me@example.com", «»)
tools.mail_to("me@example.com", subject=«», cc=«»)
tools.mail_to(«», encode="hex")
tools.mail_to("me@example.com", «», encode="javascript")
tools.mail_to("a@b.c", replace_at=«», replace_dot="_dot_")
converters.format_paragraphs(«»)
converters.format_paragraphs(«», True)
converters.nl2br(«»)
converters.markdown(«»)
converters.textilize(«»)
converters.textilize(«», True)
converters.render(«»)
converters.sanitize(«»)
wtext.truncate(«», 6)
wtext.truncate(«», 8, "<")
wtext.truncate(«», 9, whole_word=True)
wtext.excerpt(«», "x")
wtext.excerpt(«», "b", 2)
wtext.excerpt(«», "o", 3, "<")
wtext.plural(2, «», "zs")
wtext.chop_at(«», "x")
wtext.chop_at(«», "a", True)
wtext.lchop(«», "a")
wtext.rchop(«», "c")
wtext.strip_leading_whitespace(«»)
wtext.wrap_paragraphs(«», 10)
wtext.urlify(«»)
wtext.remove_formatting(«»)
wtext.collapse(«»)
wtext.collapse(«», "l")
wtext.convert_accented_entities(«»)
wtext.convert_misc_entities(«»)
wtext.replace_whitespace(«», "_")
wtext.series([«», "b", «»])
wtext.series([«»], "or", False)
tags.form(«»)
tags.form("/x", method=«», multipart=True)
tags.end_form()
tags.text("n", «»)
tags.text(«», "v")
tags.hidden("n", «»)
tags.file("n", «»)
tags.password("n", «»)
tags.textarea("n", «», size="10x3")
tags.textarea("n", «», rows=2, cols=3)
tags.checkbox("n", «», checked=True, label=«»)
tags.radio("n", «», label="<l>")
tags.submit("n", «»)
tags.select("n", «», [("x", "X<"), ("5", «»)])
tags.select("n", ["x"], [«», "b"], multiple=True, prompt=«»)
tags.select("n", "", [([("a", «»)], "group"), "q"])
tags.Options([«», ("v", "l")])
tags.Options([("a", «»)], prompt="p")
tags.link_to(«», "/x")
tags.link_to("l", «»)
tags.link_to_if(«», "l", "/u")
tags.link_to_unless(«», "l", "/u")
tags.image(«», "alt")
tags.image("/i.png", «», 3, 4)
tags.auto_discovery_link(«»)
tags.auto_discovery_link("/f", "rss", title=«»)
tags.javascript_link(«»)
tags.javascript_link("/a.js", «», defer=True)
tags.stylesheet_link(«», media="x")
tags.th_sortable("c", "c", «»)
tags.ol([«», "b"])
tags.ul([«»], default="d", li_attrs={"class_": «»})
tags.ul([], «»)
tags.title(«»)
tags.title(«», True, "h")
tags.required_legend()
tags.convert_boolean_attrs({"a": «»}, ["a"])
tags.css_classes([(«», True), ("b", False)])
tags.checkbox("n", id=«»)
tags.text("foo[0].bar", «»)
tags.hidden(«»)
tags.text(u"\u00f6 x", «»)
tags.xml_declaration()
tags.Doctype().html5()
number.percent_of(5, 7)
number.mean([1, 2, 4])
number.average([5, 6])
number.median([1, 5, 2])
number.standard_deviation([1,3,6])
number.format_number(1234567.891, ",", ".")
number.format_number(«»)
number.format_data_size(123456, "B", 2)
number.format_byte_size(1536, 2, True)
number.format_bit_size(4000, 1)
number.standard_deviation([1,3,6], False)
number.format_data_size(«», "b")
number.percent_of(1, 3)
number.mean([1,2])
number.median([1,2,3,4])
misc.all(lambda x: x, [«»])
misc.any(lambda x: x, [«»])
misc.no(lambda x: x, [«»])
misc.count_true(lambda x: x, [«»])
misc.convert_or_none(«», int)
misc.choose_height(10, 20, 100)
misc.flatten([1, [«»], [[3]]])
misc.subclasses_only(dict, [dict, 1])
misc.DeclarativeException.__name__
containers.only_some_keys({"a": «», "b": 1}, ["a"])
containers.except_keys({"a": 1}, [«»]) if not isinstance(«», list) else 0
containers.extract_keys({"a": «»}, ["a", "b"])
containers.ordered_items({"b": «», "a": 2}, ["b"])
containers.get_many({"a": «»}, ["a"], ["z"])
containers.del_quiet({"a": 1}, ["z"])
containers.correlate_dicts([{"k": 1, "v": «»}], "k")
containers.correlate_objects([misc.DeclarativeException("x")], "message")
containers.distribute([1, 2, 3, «»], 2, "H", "f")
containers.distribute([1, 2, 3, 4, 5], 2, "V")
containers.transpose([[1, «»], [3, 4]])
containers.unique([1, 1, "x", "x"])
containers.has_duplicates([1, 1])
containers.NotGiven.__class__.__name__
date.distance_of_time_in_words(0, 86399, "minute")
date.distance_of_time_in_words(0, 100000, round=True)
date.distance_of_time_in_words(datetime.datetime(2008, 3, 21, 16, 34), datetime.datetime(2012, 5, 1, 2, 3), granularity="month", round=True)
date.distance_of_time_in_words(datetime.datetime(2008, 3, 21), datetime.datetime(1999, 5, 1))
date.distance_of_time_in_words(4, 4)
date.distance_of_time_in_words(86399, round=True, granularity="day")
date.distance_of_time_in_words(«»)
util.html_escape(«»)
util.iri_to_uri(«»)
util.update_params("/p?a=1&b=2", a=«»)
util.update_params("/p", x=[1, «»])
util.cgi_escape(«», True)
util.SimplerXMLGenerator.__name__
constants.us_states()[:3]
constants.country_codes()[-3:]
constants.canada_provinces()[:2]
constants.uk_counties()[3:5]
constants.us_territories()
paginate.Page(list(range(50)), page=3, items_per_page=7).items
paginate.Page(list(range(50)), page=«»).page
paginate.Page(list(range(45)), page=2, items_per_page=10, url=lambda page, **k: "/p?page=%s" % page).pager("$link_first ~3~ $link_next <%s>" % "x")
paginate.Page(list(range(45)), page=2, items_per_page=10, url=lambda page, **k: "/p?page=%s&<" % page).pager(separator="<", curpage_attr={"class": "c"})
paginate.Page([], page=1).pager()
paginate.Page(range(5), item_count=100, page=4, presliced_list=True, items_per_page=5).last_item
repr(paginate.Page([1,2,3]))[:8]
paginate.Page([1,2,3]).pager("$item_count items $first_item")
paginate.make_page_url("/x", {"a": "b"}, «»)
paginate.PageURL("/x", {"q": «», "page": "2"})(3)
"""


def expressions():
    """Return all expressions."""
    made = []
    for template in TEMPLATES.strip().splitlines():
        places = template.count("«»")
        for number in range(len(VALUES) if places else 1):
            expression = template
            for place in range(places):
                value = VALUES[(number + 3 * place) % len(VALUES)]
                expression = expression.replace("«»", value, 1)
            made.append(expression)
    return made


if __name__ == "__main__":
    print(json.dumps(expressions()))
