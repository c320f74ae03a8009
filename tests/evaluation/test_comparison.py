"""Two runs: put side by side, and how far the queries leave it open."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from mmps.evaluation import comparison, write_dump
from mmps.evaluation.comparison import (
    Paired,
    compare,
    interval,
    pair_up,
    resampled_means,
)
from mmps.evaluation.per_query import QueryLine, write_per_query
from mmps.evaluation.scoring import evaluate, score_features
from tests.evaluation.random_sets import random_features


def line(query, ap=0.5, rank=2, gt=1, row='G50', name='p', image='i.jpg'):
    ap = ap if gt else None
    return QueryLine(row, query, name, image, ap, rank, int(bool(rank)), gt)


def drawn(rng, num: int, gain: float = 0.0) -> Paired:
    """Queries that are hard or easy for both runs."""
    ease = rng.beta(0.6, 0.4, size=num)
    ap = np.clip(ease + rng.normal(0, 0.15, size=(2, num)), 0, 1)
    ap[1] = np.clip(ap[1] + gain, 0, 1)
    return Paired('p', ap, rng.random((2, num)) < ap, 0)


# --- side by side


def test_queries_are_paired_whatever_their_order():
    a = [line(0, 0.1), line(1, 0.2, 1), line(0, 0.3), line(5, gt=0)]
    b = [line(1, 0.6), line(5, gt=0), line(0, 0.5, None), line(0, 0.7, 1)]
    (paired,) = pair_up(a, b)
    # query 0 is asked twice: the first time and the second
    assert paired.average_precision.tolist() == [
        [0.1, 0.3, 0.2],
        [0.5, 0.7, 0.6],
    ]
    assert paired.hits.tolist() == [
        [False, False, True],
        [False, True, False],
    ]
    assert paired.skipped == 1


def test_rows_are_kept_apart_and_chosen():
    a = [line(0, 0.1), line(0, 0.2, row='G100'), line(0, row='G50+cws')]
    b = [line(0, 0.4, row='G100'), line(0, 0.3)]
    with pytest.raises(ValueError, match=r'only A has G50\+cws; choose'):
        pair_up(a, b)
    first, second = pair_up(a, b, ['G100', 'G50'])
    assert (first.protocol, second.protocol) == ('G100', 'G50')
    assert first.average_precision.tolist() == [[0.2], [0.4]]
    with pytest.raises(ValueError, match=r'run B has no row .*: G100'):
        pair_up(a, b, ['G50+cws'])


@pytest.mark.parametrize(
    ('other', 'message'),
    [
        ([line(0)], r"queries of 'G50': only A has query 1 \('p' in 'i.jpg'"),
        ([line(n) for n in range(9)], 'only B has .* and 4 more'),
        ([line(0), line(1, name='q')], r"only A .*'p'.*; only B .*'q'"),
        ([line(0), line(1, image='j.jpg')], "'j.jpg'"),
        ([line(0), line(1, gt=2)], 'query 1 .*1 gallery entries .*2 in run B'),
        ([line(0), line(1), line(1)], 'only B has query 1'),
    ],
)
def test_other_queries_are_refused_by_name(other, message):
    with pytest.raises(ValueError, match=message):
        pair_up([line(0), line(1)], other)


def test_nothing_is_not_compared():
    with pytest.raises(ValueError, match='nothing to compare'):
        pair_up([], [])


# --- the interval


def test_means_are_those_of_plain_loops():
    rng = np.random.default_rng(0)
    differences = rng.normal(size=(2, 7))
    means = resampled_means(differences, 20, seed=5)
    again = np.random.default_rng(5)
    for number in range(20):
        queries = [int(again.integers(7)) for _ in range(7)]
        for figure in range(2):
            total = math.fsum(differences[figure, q] for q in queries)
            assert means[figure, number] == pytest.approx(total / 7)


@pytest.mark.parametrize('num', [1, 2, 9, 200])
def test_interval_is_that_of_scipy(num):
    rng = np.random.default_rng(num)
    values = rng.normal(0.02, 0.2, size=num)
    means = resampled_means(values[None], 4000, seed=3)[0]
    if num == 1:
        assert interval(means) == (values[0], values[0])
        return
    expected = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=4000,
        method='percentile',
        vectorized=True,
        random_state=np.random.default_rng(3),
    )
    # the same draws, so the same numbers
    assert interval(means) == pytest.approx(
        tuple(expected.confidence_interval), abs=1e-12
    )


def test_block_and_company_change_nothing(monkeypatch):
    paired = drawn(np.random.default_rng(1), 37)
    one = compare(paired, 500, seed=2)
    monkeypatch.setattr(comparison, 'BLOCK', 40)
    two = compare(paired, 500, seed=2)
    assert np.array_equal(one.means, two.means)
    assert one.summary() == two.summary()
    other = compare(paired, 500, seed=3)
    assert not np.array_equal(one.means, other.means)


def test_interval_holds_the_truth_as_often_as_it_says():
    """500 test sets of one population; the true gain is known."""
    population = drawn(np.random.default_rng(0), 200_000, gain=0.03)
    ap, hits = population.average_precision, population.hits
    truth = [(ap[1] - ap[0]).mean(), (1.0 * hits[1] - hits[0]).mean()]
    rng = np.random.default_rng(1)
    held = np.zeros(2)
    for seed in range(500):
        chosen = rng.integers(ap.shape[1], size=120)
        found = compare(
            Paired('p', ap[:, chosen], hits[:, chosen], 0), 1000, seed
        )
        held += [
            figure.low <= true <= figure.high
            for figure, true in zip(found.figures.values(), truth, strict=True)
        ]
    # 95 % of 500, four standard errors (1 %) below and above
    assert (np.abs(held / 500 - 0.95) < 0.04).all()


def test_pairing_narrows_the_interval():
    paired = drawn(np.random.default_rng(4), 400)
    width = interval_width(paired)
    rng = np.random.default_rng(0)
    shuffled = paired.average_precision.copy()
    rng.shuffle(shuffled[1])
    assert interval_width(Paired('p', shuffled, paired.hits, 0)) > 2 * width


def interval_width(paired: Paired) -> float:
    found = compare(paired, 1000).figures['mAP']
    return found.high - found.low


def test_counts_and_figures_by_hand():
    ap = np.array([[0.5, 0.2, 0.4, 1.0], [0.5 + 1e-12, 0.3, 0.1, 1.0]])
    hits = np.array([[1, 0, 0, 1], [1, 1, 0, 1]], bool)
    found = compare(Paired('p', ap, hits, 3), 100)
    assert (found.won, found.lost, found.equal) == (1, 1, 2)
    assert found.figures['top-1'][:3] == (0.5, 0.75, 0.25)
    assert found.figures['mAP'].difference == pytest.approx(-0.2 / 4)
    summary = found.summary()
    assert (summary['queries'], summary['skipped']) == (4, 3)
    assert summary['top-1']['b'] == 0.75


def test_a_run_equals_itself():
    paired = drawn(np.random.default_rng(2), 30)
    same = Paired(
        'p', paired.average_precision[[0, 0]], paired.hits[[0, 0]], 0
    )
    found = compare(same, 200)
    assert found.figures['mAP'][2:] == (0, 0, 0)
    assert (found.won, found.lost, found.equal) == (0, 0, 30)


def test_no_query_with_a_positive_has_no_figures():
    (paired,) = pair_up([line(0, gt=0)], [line(0, gt=0)])
    found = compare(paired, 10)
    assert paired.skipped == 1
    assert all(math.isnan(x) for x in found.figures['mAP'])
    assert (found.won, found.lost, found.equal) == (0, 0, 0)


def test_too_few_resamples_are_refused():
    with pytest.raises(ValueError, match='resamples must be >= 1, got 0'):
        compare(drawn(np.random.default_rng(0), 3), 0)


# --- mmps compare-runs


@pytest.fixture
def files(tmp_path):
    features = random_features(11)
    write_dump(features, tmp_path / 'b.npz')
    lines = score_features(features, det_thr=0.8).queries
    write_per_query(lines, tmp_path / 'a.csv')
    write_per_query(lines, tmp_path / 'a.json')
    return tmp_path


def test_files_and_dumps_are_compared(files, command):
    features = random_features(11)
    out = files / 'compared.json'
    for kind in ('csv', 'json'):
        _, shown, _ = command(
            *('compare-runs', files / f'a.{kind}', files / 'b.npz'),
            *('--out', out, '--resamples', 300, '--names', 'old', 'new'),
        )
        assert f'A: old ({files}/a.{kind})' in shown
        content = json.loads(out.read_text())
        a, b = evaluate(features, det_thr=0.8), evaluate(features)
        assert content['protocols'].keys() == features.protocols.keys()
        for name, found in content['protocols'].items():
            for figure in ('mAP', 'top-1'):
                assert found[figure]['a'] == pytest.approx(
                    a[f'{name}/{figure}']
                )
                assert found[figure]['b'] == pytest.approx(
                    b[f'{name}/{figure}']
                )
            counts = [found[key] for key in ('won', 'lost', 'equal')]
            assert sum(counts) == found['queries']
            assert f'| {name} | mAP | {100 * a[f"{name}/mAP"]:.2f} |' in shown
    rows = [x for x in shown.splitlines() if x.startswith('|')]
    assert {row.count('|') for row in rows} == {11}
    assert len(rows) == 2 + 2 * len(features.protocols)


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['a.csv', 'other.csv'], 'different rows: only A has first'),
        (['a.csv', 'none.csv'], 'none.csv: no such file'),
        (['a.csv', 'b.npz', '--protocol', 'G50'], "no row 'G50'"),
        (['a.csv', 'b.npz', '--picture', 'x.gif'], 'must end in one of .png'),
        (['a.csv', 'b.npz', '--resamples', '0'], 'must be at least 1, got 0'),
    ],
)
def test_what_cannot_be_compared_is_told(words, message, files, command):
    write_per_query([line(0)], files / 'other.csv')
    paths = [files / name for name in words[:2]]
    code, out, err = command('compare-runs', *paths, *words[2:])
    assert (code, out) == (2, '')
    assert message in err


def test_a_comparison_is_drawn(files, command):
    picture = files / 'compared.png'
    _, shown, _ = command(
        *('compare-runs', files / 'a.csv', files / 'b.npz'),
        *('--resamples', 50, '--picture', picture),
    )
    assert picture.read_bytes().startswith(b'\x89PNG')
    assert f'wrote {picture}' in shown
