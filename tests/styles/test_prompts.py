"""Style prompts and target texts: what a pack file means, what is drawn and how often."""

import re
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.styles.prompts import TargetPrompts, load_style_prompts, random_character_prompts
from langdg_d2.utils.errors import LangDGError

PACKS = ("art_styles", "driving_conditions")
CLASSES = ("road", "traffic light", "car")
STYLES = ("foggy", "Silent Film style", "frosty", "moonlit")
IGNORE = 255


def target_prompts(**changes):
    defaults = {"class_names": CLASSES, "style_prompts": STYLES, "ignore_label": IGNORE}
    return TargetPrompts(**defaults | changes)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def is_uniform(outcomes, expected):
    """Whether outcomes are the expected ones, in frequencies that chance explains."""
    counts = Counter(outcomes)
    return set(counts) == set(expected) and chisquare(list(counts.values())).pvalue > 1e-3


# Packs


@pytest.mark.parametrize("pack", PACKS)
def test_packs_hold_20_prompts_that_are_tidy(pack):
    prompts = load_style_prompts(pack)
    assert len(prompts) == 20
    assert all(re.fullmatch(r"[A-Za-z]+([ -][A-Za-z]+)*", prompt) for prompt in prompts)


def test_art_styles_say_so_and_packs_share_nothing():
    art, driving = (load_style_prompts(pack) for pack in PACKS)
    assert all(re.fullmatch(r"[A-Z]\w+( [A-Z]\w+){1,2} style", prompt) for prompt in art)
    assert not set(art) & set(driving)


# Lines that begin as JSON and YAML do are refused.
words = st.text(
    st.characters(categories=["L", "N", "P", "S"], exclude_characters="#[]{}-"), min_size=1
)
styles = st.lists(words, min_size=1, max_size=4).map(" ".join)
files = st.lists(styles, min_size=1, unique_by=str.lower)
fillers = st.lists(st.sampled_from(["", "   ", "\t", "# a comment", "  # foggy # hazy"]))


@settings(deadline=None, max_examples=50)
@given(prompts=files, data=st.data())
def test_file_is_read_line_by_line_without_comments_and_spare_space(
    prompts, data, tmp_path_factory
):
    lines = []
    for prompt in prompts:
        spread = data.draw(st.sampled_from([" ", "  ", "\t"])).join(prompt.split(" "))
        ending = data.draw(st.sampled_from(["", "  ", " # a comment", "#"]))
        lines += [*data.draw(fillers), "  " + spread + ending]
    path = tmp_path_factory.mktemp("pack") / "styles.txt"
    path.write_text("\n".join([*lines, *data.draw(fillers)]), encoding="utf-8")
    assert load_style_prompts(str(path)) == tuple(prompts)


@settings(deadline=None, max_examples=50)
@given(prompts=files, data=st.data())
def test_any_prompt_written_twice_is_named(prompts, data, tmp_path_factory):
    repeated = data.draw(st.sampled_from(prompts))
    place = data.draw(st.integers(0, len(prompts)))
    path = tmp_path_factory.mktemp("pack") / "styles.txt"
    lines = [*prompts[:place], repeated, *prompts[place:]]
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(LangDGError, match=re.escape(f"contain {[repeated]} more than once")):
        load_style_prompts(str(path))


def test_spellings_that_clip_cannot_tell_apart_are_the_same_prompt(tmp_path):
    path = tmp_path / "styles.txt"
    path.write_text("foggy night\nhazy\nFoggy   Night\n")
    with pytest.raises(LangDGError, match=r"styles\.txt' contain \['Foggy Night'\] more than once"):
        load_style_prompts(str(path))


def test_byte_order_mark_and_crlf_are_stripped(tmp_path):
    path = tmp_path / "styles.txt"
    path.write_bytes(b"\xef\xbb\xbffoggy\r\nhazy\r\n")
    assert load_style_prompts(str(path)) == ("foggy", "hazy")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "styles.txt' are empty"),
        (b"# foggy\n\n   \n", "styles.txt' are empty"),
        (b"caf\xe9 style\n", "styles.txt' are not UTF-8 text"),
    ],
)
def test_file_without_usable_text_is_named(tmp_path, content, message):
    path = tmp_path / "styles.txt"
    path.write_bytes(content)
    with pytest.raises(LangDGError, match=message):
        load_style_prompts(str(path))


@pytest.mark.parametrize("name", ["styles.json", "styles.yaml", "styles.txt"])
@pytest.mark.parametrize(
    "content",
    [
        '["foggy", "caf\\u00e9 # 3"]',
        '[\n\t"foggy",\n\t"caf\\u00e9 # 3"\n]',
        "# styles\n- foggy\n- 'caf\u00e9 # 3'",
    ],
)
def test_a_list_in_json_or_yaml_is_read_as_such(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8-sig")
    assert load_style_prompts(str(path)) == ("foggy", "caf\u00e9 # 3")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("styles.json", "foggy", "are neither a list"),
        ("styles.json", '"foggy"', "are neither a list"),
        ("styles.yml", "night: foggy", "are neither a list"),
        ("styles.txt", '{"styles": ["foggy"]}', "are neither a list"),
        ("styles.txt", '[\n"foggy"', "are neither a list"),
        ("styles.txt", "[" * 10**5, "are neither a list"),
        ("styles.txt", "- foggy\nhazy", "are neither a list"),
        ("styles.json", '["foggy", 3]', r"contain \[3\], expected strings"),
        ("styles.txt", "- 1920", r"contain \[1920\], expected strings"),
        ("styles.json", "[]", "are empty"),
    ],
)
def test_what_is_neither_a_list_of_texts_nor_lines_is_refused(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(LangDGError, match=rf"{name}' {message}"):
        load_style_prompts(str(path))


@pytest.mark.parametrize("pack", ["art_style", "missing/styles.txt", ""])
def test_unknown_pack_lists_those_there_are(pack):
    with pytest.raises(LangDGError, match=rf"'{pack}': neither.*\['art_styles', 'driving_con"):
        load_style_prompts(pack)


# Random characters


def test_random_prompts_are_distinct_and_follow_the_seed():
    prompts = random_character_prompts(count=20, length=8, seed=0)
    assert len(set(prompts)) == 20
    assert all(re.fullmatch("[a-z]{8}", prompt) for prompt in prompts)
    torch.manual_seed(7)
    assert prompts == random_character_prompts(count=20, length=8, seed=0)
    assert prompts != random_character_prompts(count=20, length=8, seed=1)


def test_random_letters_are_uniform():
    prompts = random_character_prompts(count=500, length=20, seed=0)
    assert is_uniform("".join(prompts), "abcdefghijklmnopqrstuvwxyz")


def test_exactly_the_possible_words_are_drawn():
    prompts = random_character_prompts(count=26, length=1, seed=0)
    assert sorted(prompts) == list("abcdefghijklmnopqrstuvwxyz")
    for count, length in ((27, 1), (1, 0), (1, -1)):
        with pytest.raises(LangDGError, match=f"cannot draw {count} .* of {length} letters"):
            random_character_prompts(count=count, length=length, seed=0)


# Target texts


def test_classes_get_styled_prompts_and_ignore_fixed_text():
    ids = [2, IGNORE, 0, 1, 2] * 50
    texts = target_prompts().sample(ids, generator=seeded())
    for class_id, text in zip(ids, texts, strict=True):
        if class_id == IGNORE:
            assert text == "photo"
        else:
            assert text in {f"{style} {CLASSES[class_id]}" for style in STYLES}


def test_styles_are_uniform_and_independent_between_patches_and_calls():
    prompts, generator = target_prompts(), seeded()
    draws = [prompts.sample([0, 0], generator=generator) for _ in range(2000)]
    pairs = [(f"{a} road", f"{b} road") for a in STYLES for b in STYLES]
    assert is_uniform(map(tuple, draws), pairs)
    first = [texts[0] for texts in draws]
    assert is_uniform(zip(first[::2], first[1::2], strict=True), pairs)


def test_draws_follow_the_generator_alone():
    prompts, ids = target_prompts(), [0, 1, 2] * 10
    expected = prompts.sample(ids, generator=seeded())
    torch.manual_seed(7)
    assert target_prompts().sample(ids, generator=seeded()) == expected
    assert prompts.sample(ids, generator=seeded(1)) != expected


@pytest.mark.parametrize(
    ("template", "texts"),
    [
        ("{style} {class_name}", [f"{s} {c}" for c in CLASSES for s in STYLES]),
        ("{class_name} in {style}", [f"{c} in {s}" for c in CLASSES for s in STYLES]),
        ("{class_name}", list(CLASSES)),
        ("{style}", list(STYLES)),
    ],
)
def test_all_lists_exactly_what_sample_gives_for_every_composition(template, texts):
    prompts = target_prompts(template=template)
    assert prompts.all() == [*texts, "photo"]
    drawn = prompts.sample([0, 1, 2, IGNORE] * 100, generator=seeded())
    assert set(drawn) == {*texts, "photo"}


def test_default_recipe_has_20_styles_per_class():
    prompts = target_prompts(
        class_names=CITYSCAPES_19.names,
        style_prompts=load_style_prompts("art_styles"),
        ignore_label=CITYSCAPES_19.ignore_label,
    )
    assert len(prompts.all()) == 20 * 19 + 1
    assert prompts.all()[0] == "Copper Twilight style road"


def test_prompts_may_be_a_pack_a_file_or_texts(tmp_path):
    file = tmp_path / "styles.txt"
    file.write_text("foggy\nhazy\n")
    listed = ["foggy", "hazy"]
    expected = target_prompts(style_prompts=listed).all()
    assert target_prompts(style_prompts=str(file)).all() == expected
    packed = target_prompts(style_prompts="art_styles")
    assert packed.styles == load_style_prompts("art_styles")
    assert packed.all() == target_prompts(style_prompts=load_style_prompts("art_styles")).all()


def test_unlabelled_patches_can_get_the_styles_alone():
    prompts = target_prompts(ignore_prompt=None)
    drawn = prompts.sample([IGNORE] * 1000, generator=seeded())
    assert is_uniform(drawn, STYLES)


def test_class_name_alone_needs_no_styles():
    prompts = target_prompts(style_prompts=(), template="{class_name}", ignore_prompt="a scene")
    assert prompts.sample([1, IGNORE], generator=seeded()) == ["traffic light", "a scene"]


@pytest.mark.parametrize("class_id", [3, -1, 254])
def test_unknown_class_id_is_named(class_id):
    expected = rf"class id {class_id} is unknown, expected one of \[0, 1, 2, 255\]"
    with pytest.raises(LangDGError, match=expected):
        target_prompts().sample([0, class_id], generator=seeded())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"template": "road"}, r"'road' has the fields \[\], expected 'style'"),
        ({"template": "{style} {color}"}, r"has the fields \['color', 'style'\]"),
        ({"template": "{} {style}"}, r"has the fields \['', 'style'\]"),
        ({"template": "{style"}, r"template '\{style': .*'\}'"),
        ({"style_prompts": ()}, "style prompts are empty"),
        ({"style_prompts": ["foggy", " "]}, "style prompts are empty or contain an empty one"),
        ({"style_prompts": ["foggy", 1980]}, r"style prompts contain \[1980\], expected strings"),
        (
            {"style_prompts": ["foggy", "Foggy"]},
            r"style prompts contain \['Foggy'\] more than once",
        ),
        (
            {"style_prompts": "no_pack"},
            r"'no_pack': neither.* write a list of texts as \[driving at night\]",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(changes, message):
    with pytest.raises(LangDGError, match=message):
        target_prompts(**changes)
