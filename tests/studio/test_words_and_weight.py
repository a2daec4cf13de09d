"""What the page is made of: the same words in every language, all that scripts ask for, and little weight."""

import json
import re

import pytest

from convsmith.studio.app import read_static, static_names

LANGUAGES = ("en", "zh")
WORDS = {name: json.loads(read_static(f"{name}.json")) for name in LANGUAGES}
SCRIPTS = {name: read_static(name).decode() for name in static_names() if name.endswith(".js")}


def test_both_languages_have_the_same_words_with_the_same_blanks():
    english, chinese = (WORDS[name] for name in LANGUAGES)
    assert list(english) == list(chinese)
    for key, text in english.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", chinese[key])), key
        assert chinese[key].strip()


def test_every_word_that_a_script_asks_for_is_there_and_no_other():
    source, known = "\n".join(SCRIPTS.values()), set(WORDS["en"])
    assert set(re.findall(r"""\bt\("([\w.]+)\"""", source)) <= known
    starts = {*re.findall(r"\bt\(`([\w.]+)\$\{", source), "term."}
    assert [start for start in starts if not any(word.startswith(start) for word in known)] == []
    named = set(re.findall(r'"([\w.]+)"', source))
    assert [word for word in known if word not in named and not word.startswith(tuple(starts))] == []


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_scripts_come_from_here_and_make_no_markup_of_text(name):
    source = SCRIPTS[name]
    assert re.findall(r"https?://(?!www\.w3\.org/)", source) == []
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", source) == []
    for path in re.findall(r"""from "\./([\w.]+)\"""", source):
        assert path in SCRIPTS


def test_the_page_weighs_less_than_400_kilobytes():
    assert sum(len(read_static(name)) for name in static_names()) < 400_000
