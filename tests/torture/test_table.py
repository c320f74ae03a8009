import json
from pathlib import Path

import pytest

from .rows import ROWS
from .table import ROOT, shown, table, unknown, verdict


def result(**changed):
    return {
        'cases': 1000,
        'done': 1000,
        'broken': [],
        'seen': 'nothing odd',
        'seconds': 123.4,
        'figures': {},
        'whole': True,
        'date': '2026-11-30',
        'commit': 'abc1234',
        **changed,
    }


def row(folder, first):
    [line] = [
        line
        for line in table(folder).splitlines()
        if line.startswith(f'| {first} |')
    ]
    return [cell.strip() for cell in line.strip('|').split('|')]


def put(folder, name, **changed):
    (folder / f'{name}.json').write_text(json.dumps(result(**changed)))


def test_the_page_shows_what_runs_gave():
    assert shown() == table()


def test_every_row_and_every_campaign_has_the_other():
    assert list(ROWS) == list(range(1, 25))
    assert unknown() == set()
    for held in (test for row in ROWS.values() for test in row.tests):
        assert Path(ROOT, held.split('::')[0]).is_file(), held


def test_what_was_not_run_is_said(tmp_path):
    assert row(tmp_path, 4)[3] == '`kills`: not run'
    assert '| `kills` |' not in table(tmp_path)


@pytest.mark.parametrize(
    ('changed', 'reached', 'word'),
    [
        ({}, '1,000 of 1,000', 'kept'),
        (
            {'broken': [[3, 'x'], [4, 'y']]},
            '1,000 of 1,000, **BROKEN**',
            'BROKEN',
        ),
        ({'done': 7}, '7 of 1,000, **out of time**', 'out of time'),
    ],
)
def test_a_run_is_shown_with_its_verdict(changed, reached, word, tmp_path):
    put(tmp_path, 'kills', **changed)
    assert row(tmp_path, 4)[3] == f'`kills`: {reached}'
    seen = ['`kills`', 'nothing odd', '2 min', '2026-11-30, abc1234']
    assert row(tmp_path, '`kills`') == seen
    assert verdict(result(**changed)) == word


def test_tests_count_for_their_row_alone(tmp_path):
    put(tmp_path, 'by_tests', figures={'6': '9 tests passed'})
    assert row(tmp_path, 6)[3] == '`by_tests`: 9 tests passed'
    assert row(tmp_path, 9)[3] == '`by_tests`: not run, or **failed**'


def test_a_part_of_a_campaign_is_no_result(tmp_path):
    put(tmp_path, 'kills', whole=False)
    with pytest.raises(ValueError, match=r'kills\.json: a part'):
        table(tmp_path)


def test_of_several_campaigns_each_is_named(tmp_path):
    put(tmp_path, 'dumps')
    reached = row(tmp_path, 7)[3].split('; ')
    assert reached == [
        '`checkpoints`: not run',
        '`dumps`: 1,000 of 1,000',
        '`onnx_files`: not run',
    ]
