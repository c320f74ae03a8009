"""Single queries: what the scorer found, and files that come back exactly."""

import csv
import json
import math

import numpy as np
import pytest

from mmps.evaluation.per_query import (
    COLUMNS,
    QueryLine,
    check_per_query,
    read_per_query,
    write_per_query,
)
from mmps.evaluation.scoring import evaluate, score_features, score_findings
from mmps.report.runs import read_queries
from tests.evaluation import reference
from tests.evaluation.random_sets import random_features
from tests.evaluation.test_dump import EVERYTHING
from tests.evaluation.test_features import big
from tests.evaluation.test_pairs import random_findings


def test_lines_are_those_of_plain_loops():
    seen = set()
    for seed in range(60):
        features = random_features(seed)
        lines = score_features(features, cws=True).queries
        expected = []
        for option in ({}, {'cws': True}):
            for name, protocol in features.protocols.items():
                found = reference.score_search(features, name, **option)
                for number, one in zip(protocol.queries, found, strict=True):
                    expected.append((name + '+cws' * len(option), number, one))
        assert len(lines) == len(expected)
        for line, (row, number, one) in zip(lines, expected, strict=True):
            query = features.queries[number]
            assert line[:4] == (
                *(row, number, query.identity),
                features.image_names[query.image],
            )
            assert (line.num_found, line.num_gt) == (one['found'], one['gt'])
            for k, hit in one['top'].items():
                assert hit == (line.rank is not None and line.rank <= k)
            assert (line.rank is None) == (one['found'] == 0)
            if one['gt']:
                assert line.average_precision == pytest.approx(one['ap'])
            else:
                assert line.average_precision is None
            seen.add((one['gt'] > 0, one['found'] > 0))
    assert len(seen) == 3  # nothing to find, not found, found


def means(lines: list[QueryLine]) -> dict[str, float]:
    result = {}
    for row in dict.fromkeys(line.protocol for line in lines):
        scored = [x for x in lines if x.protocol == row and x.num_gt]
        nan = [math.nan] * (not scored)
        result[f'{row}/mAP'] = np.mean(
            [x.average_precision for x in scored] + nan
        )
        result[f'{row}/top-1'] = np.mean([x.rank == 1 for x in scored] + nan)
    return result


@pytest.mark.parametrize('seed', range(5))
def test_their_means_are_the_result_of_every_row(seed):
    features = random_features(seed)
    scored = score_features(features, **EVERYTHING)
    assert repr(scored.result) == repr(evaluate(features, **EVERYTHING))
    found = means(scored.queries)
    rows = [key for key in scored.result if key.endswith(('/mAP', '/top-1'))]
    wanted = {
        row: scored.result[row]
        for row in rows
        if scored.result[row.rpartition('/')[0] + '/queries']
    }
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        assert found[key] == pytest.approx(value, nan_ok=True)


def test_pairs_have_lines_too():
    features = random_features(3)
    findings, _ = random_findings(np.random.default_rng(0), features, True)
    scored = score_findings(
        findings,
        features.protocols,
        features.queries,
        features.image_names,
        cws=True,
    )
    for key, value in means(scored.queries).items():
        assert value == pytest.approx(scored.result[key], nan_ok=True)
    rows = {line.protocol for line in scored.queries}
    assert {'first', 'first+cws'} <= rows


ODD = [
    QueryLine('G50', 0, 'p1', 's1.jpg', 0.1 + 0.2, 3, 1, 2),
    QueryLine('G50', 1, 'Zoë, "Z"', 'a\nb.jpg', None, None, 0, 0),
    QueryLine('G50+cws', 0, '7', 's1.jpg', 0.0, None, 0, 2),
    QueryLine('all', 9, '', "it's.png", 1.0, 1, 2, 2),
]


@pytest.mark.parametrize('suffix', ['csv', 'json'])
def test_lines_come_back_exactly(tmp_path, suffix):
    path = tmp_path / 'new folder' / f'run.{suffix}'
    write_per_query(ODD, path)
    assert read_per_query(path) == ODD
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    write_per_query([], path)
    assert read_per_query(path) == []


def test_other_programs_can_read_them(tmp_path):
    write_per_query(ODD, tmp_path / 'run.csv')
    with (tmp_path / 'run.csv').open(newline='', encoding='utf-8') as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == COLUMNS
    assert rows[1] == [
        *('G50', '0', 'p1', 's1.jpg', '0.30000000000000004', '3', '1', '2')
    ]
    assert rows[2][4:] == ['', '', '0', '0']
    write_per_query(ODD, tmp_path / 'run.json')
    objects = json.loads((tmp_path / 'run.json').read_text(encoding='utf-8'))
    assert objects[1]['AP'] is None
    assert objects[0] == dict(zip(COLUMNS, ODD[0], strict=True))


def test_a_failed_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / 'run.csv'
    write_per_query(ODD, path)

    def broken():
        yield ODD[0]
        raise RuntimeError('no more')

    with pytest.raises(RuntimeError):
        write_per_query(broken(), path)
    assert read_per_query(path) == ODD
    assert [p.name for p in tmp_path.iterdir()] == ['run.csv']


@pytest.mark.parametrize('name', ['run.txt', 'run', 'run.CSV', 'csv'])
def test_other_suffixes_are_refused(tmp_path, name):
    for call in (check_per_query, lambda path: write_per_query(ODD, path)):
        with pytest.raises(ValueError, match=r'ends in \.csv or \.json'):
            call(tmp_path / name)
    assert not list(tmp_path.iterdir())


HEAD = ','.join(COLUMNS)


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('a.csv', '', 'no column AP, found'),
        ('a.csv', 'protocol,query\n', 'no column AP'),
        ('a.csv', f'{HEAD}\nG50,0,p,i,1.0,1,1\n', 'entry 1: int'),
        ('a.csv', f'{HEAD}\nG50,x,p,i,1.0,1,1,1\n', "entry 1: .*'x'"),
        ('a.csv', f'{HEAD}\nG50,0,p,i,,1,1,1\n', "AP '' with gt '1'"),
        ('a.csv', f'{HEAD}\nG50,0,p,i,0.5,,0,0\n', "AP '0.5' with gt '0'"),
        ('a.csv', f'{HEAD}\nG50,0,p,i,nan,1,1,1\n', "AP 'nan'"),
        ('a.csv', f'{HEAD}\nG50,0,p,i,55,1,1,1\n', "AP '55'"),
        ('a.json', '{"G50/mAP": 1}', 'entry 1 does not have protocol'),
        ('a.json', '[{"protocol": "G50"}]', 'entry 1 does not have'),
        ('a.json', '7', 'not a file with results per query'),
        ('a.json', '[', 'not a file with results per query'),
    ],
)
def test_what_is_no_such_file_is_named(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_per_query(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_a_run_is_a_file_of_queries_or_a_dump(tmp_path):
    from mmps.evaluation import write_dump

    features = big(80)
    lines = score_features(features, det_thr=0.6).queries
    write_per_query(lines, tmp_path / 'a.csv')
    write_dump(features, tmp_path / 'a.npz')
    assert read_queries(tmp_path / 'a.csv') == lines
    assert read_queries(tmp_path / 'a.npz', det_thr=0.6) == lines
    with pytest.raises(FileNotFoundError, match='no such file'):
        read_queries(tmp_path / 'b.json')
    with pytest.raises(ValueError, match=r'or a dump \(\.npz\)'):
        read_queries(tmp_path / 'a.txt')


def test_more_columns_are_passed_over(tmp_path):
    (tmp_path / 'a.csv').write_text(f'note,{HEAD}\nmine,G50,0,p,i,0.5,2,1,1\n')
    (line,) = read_per_query(tmp_path / 'a.csv')
    assert line == QueryLine('G50', 0, 'p', 'i', 0.5, 2, 1, 1)
