"""The pictures and the text of a report."""

from html.parser import HTMLParser

VOID = {"img", "input", "meta"}


class Page(HTMLParser):
    """The pictures and the visible text of a page, and whatever it would fetch."""

    def __init__(self, path):
        super().__init__()
        self.images, self.links, self.tags, self.text, self.open = [], [], [], "", []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.images.append((attributes["data-file"], attributes["src"]))
        self.links += [value for name, value in attributes.items() if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] not in (["script"], ["style"]):
            self.text += data
