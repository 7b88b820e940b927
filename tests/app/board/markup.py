"""What a screen reader and a keyboard need of a page, checked in its markup; and contrast, computed from the style."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from html.parser import HTMLParser

from tests.kit.files import ROOT

VOID = frozenset({"meta", "link", "input", "br"})
CONTROLS = frozenset({"input", "select", "textarea"})
CSS = ROOT / "app" / "board" / "static" / "board.css"


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[int, str] = {}
        self.open: list[int] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.stack.append(tag)
            self.open.append(len(self.tags) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self.stack or self.stack[-1] != tag:
            self.wrong.append(f"</{tag}> closes {self.stack[-1:]}")
            return
        self.stack.pop()
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for place in self.open:
            self.texts[place] = self.texts.get(place, "") + data


def problems(text: str) -> list[str]:
    """What is wrong with a page; empty when nothing is."""
    page = _Page()
    page.feed(text)
    page.close()
    found = [*page.wrong, *(f"<{tag}> is not closed" for tag in page.stack)]
    found += [*_structure(page), *_references(page), *_controls(page), *_policy(page)]
    return found


def _structure(page: _Page) -> list[str]:
    tags = Counter(tag for tag, _ in page.tags)
    found = [f"{tags[tag]} <{tag}>" for tag in ("main", "h1", "title", "header", "footer") if tags[tag] != 1]
    if tags["title"] > 1 and tags["svg"]:
        found = [one for one in found if not one.endswith("<title>")]
    if ("html", "en") not in [(tag, about.get("lang")) for tag, about in page.tags]:
        found.append("no language")
    if not any(tag == "a" and about.get("href") == "#main" for tag, about in page.tags):
        found.append("no skip link")
    if not any(about.get("aria-live") == "polite" for _, about in page.tags):
        found.append("no live region")
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    found += [f"h{low} before h{high}" for low, high in itertools.pairwise(levels) if high > low + 1]
    navs = [about.get("aria-label") for tag, about in page.tags if tag == "nav"]
    if len(set(navs)) != len(navs) or None in navs:
        found.append("navigations without distinct labels")
    return found


def _references(page: _Page) -> list[str]:
    ids = Counter(about["id"] for _, about in page.tags if "id" in about)
    found = [f"id {one} occurs {count} times" for one, count in ids.items() if count > 1]
    for _, about in page.tags:
        for name in ("for", "aria-labelledby", "aria-describedby"):
            found += [
                f"{name} names {one}, which is not there" for one in about.get(name, "").split() if one not in ids
            ]
        target = about.get("href", "")
        if target.startswith("#") and target[1:] not in ids:
            found.append(f"a link leads to {target}, which is not there")
    return found


def _controls(page: _Page) -> list[str]:
    labelled = {about["for"] for tag, about in page.tags if tag == "label" and "for" in about}
    found = []
    for place, (tag, about) in enumerate(page.tags):
        if tag in CONTROLS and about.get("type") != "hidden" and about.get("id") not in labelled:
            found.append(f"a {tag} without a label: {about.get('name')}")
        if tag in ("button", "a", "th", "label", "summary", "h1", "h2", "h3"):
            stated = about.get("aria-label") or page.texts.get(place, "").strip()
            if not stated:
                found.append(f"a {tag} without a name")
        if tag == "th" and about.get("scope") not in ("col", "row"):
            found.append("a th without scope")
        if about.get("tabindex", "0") not in ("0", "-1"):
            found.append("a tabindex of its own order")
        if tag == "form" and about.get("method") == "post" and 'name="csrf"' not in _inside(page, place):
            found.append(f"a form without its secret: {about.get('action')}")
    return found


def _inside(page: _Page, place: int) -> str:
    following = page.tags[place + 1 : place + 4]
    secret = [
        about for tag, about in following if tag == "input" and about.get("name") == "csrf" and about.get("value")
    ]
    return 'name="csrf"' if secret or page.tags[place][1].get("action") == "/sign-in" else ""


def _policy(page: _Page) -> list[str]:
    """What the content policy forbids, or what comes from elsewhere."""
    found = []
    for tag, about in page.tags:
        found += [f"{tag} carries {name}" for name in about if name == "style" or name.startswith("on")]
        for name in ("src", "href", "action"):
            target = about.get(name, "")
            if target.startswith("//") or "://" in target:
                found.append(f"{tag} leads elsewhere: {target}")
        if tag == "script" and not about.get("src"):
            found.append("a script in the page")
        if tag == "style":
            found.append("a style in the page")
    return found


def palettes() -> dict[str, dict[str, str]]:
    """The colours of both schemes, by name."""
    text = CSS.read_text()
    light, dark = re.findall(r":root \{(.*?)\}", text, re.DOTALL)[:2]
    return {
        scheme: dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", body))
        for scheme, body in (("light", light), ("dark", dark))
    }


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2.2 between two colours."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
