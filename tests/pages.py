"""The pages of the documentation, and the blocks of code on them."""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from docutils.core import publish_doctree
from docutils.nodes import Node, document, literal_block, system_message
from docutils.parsers.rst import directives
from docutils.parsers.rst.directives.body import CodeBlock

ROOT = Path(__file__).parent.parent
PAGES = [
    "README.txt",
    *sorted(
        str(page.relative_to(ROOT))
        for page in (ROOT / "docs").rglob("*.rst")
        if "_build" not in page.parts
    ),
]


@dataclass(frozen=True)
class Block:
    """One block of code.

    Arguments:
        language: what it is highlighted as; ``text`` after a plain ``::``.
        caption: of Sphinx: the file that the block is, or belongs into.
        name: what a test finds it by; nobody reads it.
        text: the code, with a newline at its end.
    """

    language: str
    caption: str
    name: str
    text: str


class _Captioned(CodeBlock):
    """The directive as Sphinx has it; docutils alone knows no captions."""

    option_spec = {**(CodeBlock.option_spec or {}), "caption": directives.unchanged}

    def run(self) -> list[Node]:
        (block,) = super().run()
        assert isinstance(block, literal_block)
        block["caption"] = self.options.get("caption", "")
        return [block]


directives.register_directive("code-block", _Captioned)


@lru_cache
def tree(page: str) -> document:
    """A page as docutils reads it, once; what only Sphinx understands is passed over."""
    settings = {"report_level": 5, "file_insertion_enabled": False, "syntax_highlight": "none"}
    return publish_doctree((ROOT / page).read_text(), settings_overrides=settings)


def blocks(page: str, language: str | None = None) -> list[Block]:
    """The blocks of a page, ``docs/tutorial.rst`` for example, in order; of one language, or all."""
    found = [
        _block(block)
        for block in tree(page).findall(literal_block)
        # There docutils quotes a directive of Sphinx's.
        if not isinstance(block.parent, system_message)
    ]
    return [block for block in found if language in (None, block.language)]


def block(page: str, name: str) -> str:
    """The text of the block with a name."""
    (found,) = (block for block in blocks(page) if block.name == name)
    return found.text


def typed(text: str) -> list[str]:
    """The commands of a console block."""
    lines = text.replace("\\\n", "").splitlines()
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def shape(shown: str) -> str:
    """A pattern for what a program prints where a page shows ``shown``.

    Numbers and paths of files are those of another day; lines may be folded in another place;
    ``…`` stands for the rest of a word.
    """
    return r"\s+".join(map(_shape_of_word, shown.split()))


def _shape_of_word(word: str) -> str:
    if word.startswith("/srv/"):
        return r"\S+"
    parts = re.split(r"(\d+(?:\.\d+)?|…)", word)
    parts[1::2] = [r"\S*" if part == "…" else r"[\d.]+" for part in parts[1::2]]
    parts[::2] = map(re.escape, parts[::2])
    return "".join(parts)


def _block(node: literal_block) -> Block:
    languages = [name for name in node["classes"] if name != "code"]
    # Some versions of docutils put it in there that a title has the same name.
    shown = [child for child in node.children if not isinstance(child, system_message)]
    return Block(
        language=languages[0] if languages else "text",
        caption=node.get("caption", ""),
        name=node["names"][0] if node["names"] else "",
        text="".join(child.astext() for child in shown) + "\n",
    )
