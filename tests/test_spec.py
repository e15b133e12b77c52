import json

import pytest

from engines.errors import SpecError
from engines.spec import EXPRESSIONS, LABELS, CropGeometry, Emotion, ModelSpec


def test_the_classes_are_affectnets_eleven_in_its_order():
    assert LABELS == (
        "neutral",
        "happiness",
        "sadness",
        "surprise",
        "fear",
        "disgust",
        "anger",
        "contempt",
        "none",
        "uncertain",
        "no_face",
    )
    assert len(EXPRESSIONS) == 8
    assert [emotion.is_expression for emotion in Emotion] == [True] * 8 + [False] * 3


def test_every_emotion_has_its_own_colour_and_its_blue_comes_first_in_bgr():
    assert len({emotion.colour for emotion in Emotion}) == 11
    assert Emotion.of("anger").bgr == (0x45, 0x45, 0xD6)


def test_a_spec_survives_being_written_and_read():
    spec = ModelSpec("x", labels=("happiness", "neutral"), size=48, crop=CropGeometry(1.3, 0.1, False), temperature=1.7)
    assert ModelSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"nmae": "x"}, "unknown key nmae"),
        ({"size": "48"}, r"Expected `int`, got `str` - at `\$\.size`"),
        ({"size": True}, r"Expected `int`, got `bool` - at `\$\.size`"),
        ({"size": 4}, "input size must be between"),
        ({"labels": ["happy", "neutral"]}, "labels must be"),
        ({"labels": ["neutral", "neutral"]}, "labels must be"),
        ({"labels": "neutral"}, r"Expected `array`, got `str` - at `\$\.labels`"),
        ({"colour": "blue"}, r"Invalid enum value 'blue' - at `\$\.colour`"),
        ({"temperature": 0}, "temperature must be between"),
        ({"crop": {"scale": 40}}, "crop scale"),
        ({"crop": {"angle": 1}}, "unknown key angle"),
        ({"crop": 3}, "expected an object"),
        ({"name": ""}, "no name"),
    ],
)
def test_a_wrong_value_is_named(change, said):
    with pytest.raises(SpecError, match=said):
        ModelSpec.from_json(json.dumps({"name": "x"} | change))


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "{}", "[" * 100_000])
def test_text_that_is_no_spec_is_refused(text):
    with pytest.raises(SpecError):
        ModelSpec.from_json(text)


def test_an_unreadable_file_is_named(tmp_path):
    (tmp_path / "spec.json").write_bytes(b"\xff\xfe")
    with pytest.raises(SpecError, match=r"spec\.json"):
        ModelSpec.load(tmp_path / "spec.json")
    with pytest.raises(SpecError, match=r"missing\.json"):
        ModelSpec.load(tmp_path / "missing.json")
