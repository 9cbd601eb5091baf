"""What is corrected in WebHelpers 1.3."""

from simpycity_template.pylons_py3.corrections.entry import Correction

CORRECTIONS = [
    Correction(
        "the token of a secure form",
        "webhelpers.pylonslib.secure_form",
        why="It keeps forged requests out only if it cannot be guessed.",
        old="random.getrandbits(",
        new="random.SystemRandom().getrandbits(",
    ),
    Correction(
        "a base that no class there has",
        "webhelpers.html.builder",
        why="UserDict's mix-in is gone.",
        old="from UserDict import DictMixin",
        new="",
    ),
    *(
        Correction(
            "what re makes of a literal",
            f"webhelpers.{module}",
            why="It was a literal on Python 2, and what was put into it was escaped; see "
            "`literal_re.py`. Without that lit_sub lets the tags of any text through.",
            old="import re\n",
            new="re = _py3.literal_re\n",
        )
        for module in ("html.builder", "html.tools", "html.converters", "text", "feedgenerator")
    ),
    Correction(
        "bytes in HTML",
        "webhelpers.html.builder",
        why="They were text while they were ASCII, and a page would show b'...'.",
        old="    from markupsafe import escape_silent as escape",
        new="    escape = _py3.escape",
    ),
    Correction(
        "what a literal is made of, and what is made of one",
        "webhelpers.html.builder",
        why="Bytes were text while they were ASCII, and a page would show b'...'. The characters of "
        "a literal were literals, and would be escaped again. Today's MarkupSafe escapes what "
        "replaces, and not what is replaced, so a helper that escapes a literal escaped it three times.",
        old="    __slots__ = ()",
        new="    __slots__ = (); __new__ = _py3.new_literal; __iter__ = _py3.literal_characters; "
        "replace = _py3.literal_replace",
    ),
    Correction(
        "the id that is made of a name",
        "webhelpers.html.tags",
        why="It had the letters of ASCII alone, and style sheets and scripts go by it.",
        old="re.sub(r'(?!-)\\W', \"\", idstring)",
        new="re.sub(r'(?a)(?!-)\\W', \"\", idstring)",
    ),
    Correction(
        "text in a comment",
        "webhelpers.html.builder",
        why="A visitor's text could end it, and go on with a script.",
        old="[str(x) for x in args]",
        new="map(_py3.in_comment, args)",
    ),
    Correction(
        "the address of a link for mail",
        "webhelpers.html.tools",
        why="It was marked as HTML without being escaped.",
        old="HTML.literal(protocol + email_address)",
        new="HTML.literal(protocol) + email_address",
    ),
    Correction(
        "what is no letter in an address that is hidden",
        "webhelpers.html.tools",
        why="It was marked as HTML without being escaped.",
        old="encoded_parts.append(x)",
        new="encoded_parts.append(escape(x))",
    ),
    Correction(
        "a link for mail that a script writes",
        "webhelpers.html.tools",
        why="A backslash or a line break in its text was read as JavaScript.",
        old="\"document.write('%s');\" % tag",
        new="\"document.write('%s');\" % _py3.in_script(tag)",
    ),
    Correction(
        "letters of other alphabets in a script",
        "webhelpers.html.tools",
        why="Four digits were read as two, so that such letters became tags.",
        old="''.join(['%%%x' % ord(x) for x in tmp])",
        new="_py3.for_unescape(tmp)",
    ),
    Correction(
        "HTML that is sanitised",
        "webhelpers.html.render",
        why="A tag inside of a tag, as in <<script>script>, was left over.",
        old='return "".join(p.output_chunks)',
        new="return re.sub('<(?=[a-zA-Z/!?])', '&lt;', ''.join(p.output_chunks))",
    ),
    Correction(
        "the base of a dictionary",
        "webhelpers.util",
        why="UserDict's mix-in is gone; the abstract class asks for the same methods.",
        old="from UserDict import DictMixin",
        new="from collections.abc import MutableMapping as DictMixin",
    ),
    Correction(
        "escaped text",
        "webhelpers.util",
        why="It is text, and was a str.",
        old="s.encode('ascii', 'xmlcharrefreplace')",
        new="s.encode('ascii', 'xmlcharrefreplace').decode('ascii')",
    ),
    Correction(
        "dates in a feed",
        "webhelpers.feedgenerator",
        why="They are text already.",
        old=").decode('utf-8'))",
        new="))",
        times=5,
    ),
    Correction(
        "the categories of a feed",
        "webhelpers.feedgenerator",
        why="force_unicode was never defined there.",
        old="[force_unicode(c)",
        new="[unicode(c)",
    ),
    Correction(
        "the number of pages",
        "webhelpers.paginate",
        why="Whole numbers were divided.",
        old="(self.item_count - 1) / self.items_per_page",
        new="(self.item_count - 1) // self.items_per_page",
    ),
    Correction(
        "a collection that cannot be sliced",
        "webhelpers.paginate",
        why="Python 3 also names the type, and since 3.12 a slice may be a key.",
        old='except TypeError, e:\n                    if str(e) == "unhashable type":',
        new="except (TypeError, KeyError), e:\n"
        '                    if str(e).startswith(("unhashable type", "slice(")):',
    ),
    Correction(
        "the number of rows of a select",
        "webhelpers.paginate",
        why="SQLAlchemy 2 has no row count for what it selects; the database counts.",
        old="self.sqlalchemy_session.execute(self.obj).rowcount",
        new="self.sqlalchemy_session.scalar(sqlalchemy.select("
        "sqlalchemy.func.count()).select_from(self.obj.subquery()))",
    ),
    Correction(
        "a heading in HTML that becomes text",
        "webhelpers.html.render",
        why="It is centred, and whole numbers were divided.",
        old="((width-len(line))/2)",
        new="((width-len(line))//2)",
    ),
    Correction(
        "entities in HTML that is sanitised",
        "webhelpers.html.render",
        why="Python 3's parser would turn &lt;script&gt; into a tag.",
        old="p = HTMLSanitizer()",
        new="p = HTMLSanitizer(convert_charrefs=False)",
    ),
    Correction(
        "the names of countries",
        "webhelpers.constants",
        why="The file says Latin-1 and is UTF-8, which showed once str was not bytes.",
        old="    _country_codes = e",
        new="    _country_codes = [(code, _py3.to_text(name)) for code, name in e]",
    ),
    Correction(
        "the first bytes of a picture",
        "webhelpers.media",
        why="They are compared with text.",
        old="header = f.read(1024)",
        new="header = f.read(1024).decode('latin-1')",
    ),
    Correction(
        "the marker of a part of a JPEG",
        "webhelpers.media",
        why="It is a byte.",
        old='if marker != "\\xff":',
        new='if marker != b"\\xff":',
    ),
    Correction(
        "the name of a part of a PNG",
        "webhelpers.media",
        why="It is compared with text.",
        old="control = f.read(4)",
        new="control = f.read(4).decode('latin-1')",
    ),
    Correction(
        "the imaging library",
        "webhelpers.media",
        why="Pillow, its successor, has its modules in a package.",
        old="import Image",
        new="from PIL import Image",
    ),
    Correction(
        "the types that a browser accepts",
        "webhelpers.mimehelper",
        why="WebOb's header object is made, and asked, in another way.",
        old="webob.acceptparse.MIMEAccept('ACCEPT', ",
        new="_py3.AcceptedTypes(",
    ),
    Correction(
        "style sheets without spaces",
        "webhelpers.pylonslib.minify",
        why="cssutils gives bytes, in the encoding that the style sheet names.",
        old="f_minified_source.write(sheet.cssText)",
        new="f_minified_source.buffer.write(sheet.cssText)",
    ),
]
