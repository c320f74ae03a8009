"""What is on disk is scored as the test has scored it."""

import numpy as np
import pytest

from mmps.evaluation.stored_pairs import read_search_set, score_stored
from tests.evaluation.pair_runs import (
    GALLERY,
    PROTOCOL,
    QUERIES,
    make_loop,
)

BOTH = [PROTOCOL, 'low-resolution']


@pytest.fixture(scope='module')
def scored(runner, tmp_path_factory):
    """Loop, folder and figures of a test of all queries of a protocol."""
    loop = make_loop(
        runner,
        tmp_path_factory.mktemp('scored'),
        evaluator=dict(cws=True),
        num_queries=None,
    )
    return loop, loop.run(), loop.store().folder


def test_findings_are_scored_again(scored):
    _, figures, folder = scored
    result, lines = score_stored(folder, det_thr=0.05, cws=True)
    assert result == figures
    assert f'{PROTOCOL}+cws/mAP' in result
    assert len(lines) == 2 * figures[f'{PROTOCOL}/queries']
    higher = score_stored(folder, det_thr=0.06).result
    assert higher[f'{PROTOCOL}/found'] <= figures[f'{PROTOCOL}/found']


def test_the_test_set_is_read_as_it_was_noted(scored):
    loop, _, folder = scored
    (file,) = folder.glob('test_set_*.npz')
    noted, meta = read_search_set(file), loop.dataset.metainfo
    assert noted.image_names == meta['image_names']
    assert list(noted.protocols) == list(meta['protocols']) == BOTH
    for name, protocol in meta['protocols'].items():
        np.testing.assert_array_equal(
            noted.protocols[name].queries, protocol.queries
        )
    for query, expected in zip(noted.queries, meta['queries'], strict=True):
        assert (query.image, query.identity) == (
            expected.image,
            expected.identity,
        )
        np.testing.assert_array_equal(query.bbox, expected.bbox)
    np.testing.assert_array_equal(
        noted.identities.queries, loop.store().identities.queries
    )


def test_a_protocol_whose_pairs_are_missing_is_named(scored):
    _, _, folder = scored
    with pytest.raises(
        ValueError, match=rf'low-resolution \d+; complete: {PROTOCOL}\.'
    ):
        score_stored(folder, det_thr=0.05, protocols=BOTH)
    with pytest.raises(ValueError, match=r'run at a det_thr above 0\.01'):
        score_stored(folder, det_thr=0.01)


def test_protocols_of_several_tests_are_scored_together(
    scored, runner, tmp_path_factory
):
    _, figures, _ = scored
    folder = tmp_path_factory.mktemp('two')
    for name in BOTH:
        loop = make_loop(
            runner,
            folder,
            evaluator=dict(protocols=[name]),
            num_queries=None,
        )
        meta = loop.dataset._metainfo  # as if the data set had read no other
        meta['protocols'] = {name: meta['protocols'][name]}
        last = loop.run()
    result = score_stored(loop.store().folder, det_thr=0.05).result
    assert {key.split('/')[0] for key in result} == set(BOTH)
    for key, value in result.items():
        expected = figures if key in figures else last
        assert value == pytest.approx(expected[key], abs=1e-6)


def test_a_part_of_the_queries_is_no_protocol(make):
    loop = make()
    loop.run()
    left = (5 - QUERIES) * GALLERY
    with pytest.raises(ValueError, match=rf'{PROTOCOL} {left}, .*num_queries'):
        score_stored(loop.store().folder, det_thr=0.05)


def test_a_folder_of_something_else_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='has no findings of pairs'):
        score_stored(tmp_path)


def test_the_folder_is_scored_by_the_command(scored, tmp_path, command):
    _, _, folder = scored
    out = tmp_path / 'per_query.csv'
    code, shown, err = command(
        'score', folder, '--det-thr', 0.05, '--per-query', out
    )
    assert code == 0, err
    assert PROTOCOL in shown
    assert len(out.read_text().splitlines()) == 1 + 5
    code, _, err = command('score', folder, '--cbgm', 10, 3)
    assert code == 2
    assert 'Leave out --gt-boxes, --cbgm' in err
