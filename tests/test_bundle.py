import pytest
from fakes import make_bundle

from engines.bundle import bundle_names, find_bundle
from engines.errors import BundleNotFound, ModelError, SpecError


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEEMO_ENGINES", str(tmp_path / "engines"))
    return tmp_path / "engines"


def test_a_name_is_looked_up_in_the_users_folder_before_the_zoo(mine):
    shipped = find_bundle("hybrid_lite")
    assert shipped.spec.name == "hybrid_lite"
    own = make_bundle(mine / "hybrid_lite")
    assert find_bundle("hybrid_lite").folder == own
    assert bundle_names().count("hybrid_lite") == 1


def test_a_path_is_taken_as_it_is(mine, tmp_path):
    folder = make_bundle(tmp_path / "elsewhere" / "tiny")
    assert find_bundle(str(folder)).model == folder / "model.onnx"
    with pytest.raises(BundleNotFound, match="no engine folder at"):
        find_bundle(str(tmp_path / "nowhere"))


def test_an_unknown_name_lists_the_known_ones(mine):
    make_bundle(mine / "tiny")
    with pytest.raises(BundleNotFound, match=r"no engine named 'hybird'; there are: tiny, .*hybrid_lite"):
        find_bundle("hybird")


def test_a_folder_with_missing_files_is_named(tmp_path):
    folder = make_bundle(tmp_path / "tiny")
    (folder / "model.onnx").unlink()
    with pytest.raises(ModelError, match=r"has no model\.onnx, and no manifest\.json lists"):
        find_bundle(str(folder))
    (folder / "spec.json").unlink()
    with pytest.raises(SpecError, match=r"cannot read .*spec\.json"):
        find_bundle(str(folder))


def test_every_shipped_bundle_has_its_card_and_carries_its_own_name():
    for name in bundle_names():
        bundle = find_bundle(name)
        assert bundle.spec.name == name
        assert "Limits" in bundle.card.read_text()
