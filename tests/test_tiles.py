from __future__ import annotations

import numpy as np
import pytest

from edgeemo.stages.tiles import CELL_PX, MARGIN_PX, STILL_SCALE, TILE_PX, Tile, tiles_of

SIZES = [(360, 640), (1080, 1920), (1920, 1080), (2160, 3840), (130, 2000), (97, 131)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("side", [24, 40, 90, 200])
def test_each_face_lies_whole_in_a_tile_where_it_has_24_to_128_pixels(size: tuple[int, int], side: int) -> None:
    height, width = size
    if side > min(size):
        pytest.skip("a face larger than the picture")
    tiles = [tile for tile in tiles_of(height, width, STILL_SCALE) if 24 <= side * tile.scale <= 128]
    random = np.random.default_rng(side)
    for x, y in random.uniform(0, [width - side, height - side], (200, 2)).tolist():
        assert any(
            tile.left <= x
            and x + side <= tile.left + tile.width
            and tile.top <= y
            and y + side <= tile.top + tile.height
            for tile in tiles
        ), (x, y)


@pytest.mark.parametrize("size", SIZES)
def test_tiles_stay_inside_the_picture_and_below_their_limit(size: tuple[int, int]) -> None:
    for tile in tiles_of(*size, STILL_SCALE):
        assert tile.left >= 0
        assert tile.top >= 0
        assert tile.left + tile.width <= size[1]
        assert tile.top + tile.height <= size[0]
        assert max(tile.width, tile.height) * tile.scale <= TILE_PX + 1


def test_a_picture_that_the_network_sees_whole_has_no_tiles() -> None:
    assert tiles_of(100, 90, STILL_SCALE) == []


def test_flat_borders_are_left_out_and_flat_tiles_altogether() -> None:
    picture = np.full((400, 600, 3), 90, np.uint8)
    whole = Tile(100, 50, 500, 350, 1.0)
    assert whole.textured(picture) is None
    picture[200:230, 300:340] = np.random.default_rng(0).integers(0, 255, (30, 40, 3))
    part = whole.textured(picture)
    assert part is not None
    assert part.scale == whole.scale
    # accurate to the cells at the edges of the texture
    assert 0 <= 300 - MARGIN_PX - part.left <= 2 * CELL_PX
    assert 0 <= 200 - MARGIN_PX - part.top <= 2 * CELL_PX
    assert 0 <= part.left + part.width - (340 + MARGIN_PX) <= 2 * CELL_PX
    assert 0 <= part.top + part.height - (230 + MARGIN_PX) <= 2 * CELL_PX


def test_points_of_a_cut_tile_lie_where_they_were_in_the_picture() -> None:
    picture = np.zeros((300, 500, 3), np.uint8)
    picture[200:208, 400:408] = 255
    tile = Tile(301, 99, 199, 201, STILL_SCALE)
    rows, columns = np.nonzero(tile.cut(picture)[..., 0] > 127)
    middle = np.array([[columns.mean() + 0.5, rows.mean() + 0.5]], np.float32)
    np.testing.assert_allclose(tile.restore(middle), [[404, 204]], atol=0.5)


def test_a_reduced_tile_is_averaged_and_not_sampled() -> None:
    picture = np.zeros((256, 256, 3), np.uint8)
    picture[::4, ::4] = 240
    np.testing.assert_allclose(Tile(0, 0, 256, 256, 0.25).cut(picture), 15, atol=1)


def test_the_finest_tiles_of_a_still_picture_enlarge_a_face_of_24_pixels_to_28() -> None:
    assert 24 * tiles_of(1080, 1920, STILL_SCALE)[-1].scale == pytest.approx(28)
