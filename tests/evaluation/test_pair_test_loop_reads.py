"""How often the pairwise test decodes pictures."""

import pytest

from mmps.datasets.transforms import LoadScene
from tests.evaluation.pair_runs import (
    GALLERY,
    QUERIES,
    configured,
    make_loop,
    runner_of,
)


@pytest.fixture(scope='module')
def gated(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp('gated')
    return runner_of(configured(folder, data, gated=True), folder)


@pytest.fixture
def decoded(monkeypatch):
    """Names of the pictures that were decoded."""
    names = []
    transform = LoadScene.transform

    def counted(self, results):
        names.append(results['img_name'])
        return transform(self, results)

    monkeypatch.setattr(LoadScene, 'transform', counted)
    return names


@pytest.mark.slow
@pytest.mark.parametrize(
    ('guided', 'threads'), [(False, 0), (True, 2)], ids=['plain', 'gated']
)
def test_an_image_is_decoded_once_for_a_block_of_queries(
    runner, gated, decoded, tmp_path, monkeypatch, guided, threads
):
    lines = []
    monkeypatch.setattr(
        'mmps.evaluation.pair_test_loop.print_log',
        lambda message, **_: lines.append(message),
    )
    loop = make_loop(gated if guided else runner, tmp_path)
    loop.dataloader.num_workers = threads
    loop.run()
    galleries = [set(images.tolist()) for images in loop.wanted().values()]
    distinct = len(galleries[0] | galleries[1])
    distinct += len(galleries[2] | galleries[3])
    assert distinct < QUERIES * GALLERY
    assert len(decoded) == distinct + QUERIES
    (line,) = [line for line in lines if 'images decoded' in line]
    assert f'{QUERIES * GALLERY} pairs run here in' in line
    assert f'{distinct} gallery images decoded, 1.00 for each' in line
    assert f'{QUERIES} query images decoded' in line


def test_queries_without_memory_are_decoded_for_each_pair(
    runner, decoded, tmp_path
):
    loop = make_loop(runner, tmp_path, num_queries=2, cache_mb=0)
    loop.run()
    galleries = [set(images.tolist()) for images in loop.wanted().values()]
    images = len(galleries[0] | galleries[1])
    # a unit tries to keep a picture before it reads for each pair
    assert len(decoded) >= images + 2 * GALLERY
    assert len(decoded) <= images + 2 * GALLERY + 4
