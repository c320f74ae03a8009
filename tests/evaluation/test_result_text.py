"""What people and programs get to see."""

import json

from mmps.evaluation.result_text import describe_result, rows, write_json

RESULT = {
    'det/AP': 0.80555,
    'det/recall': 1 / 3,
    'det/gt': 30,
    'det/found': 10,
    'det/boxes': 12,
    'G100/mAP': 0.12345,
    'G100/top-1': 1.0,
    'G100/top-5': 1.0,
    'G100/top-10': float('nan'),
    'G100/queries': 7,
    'G100/gt': 9,
    'G100/found': 8,
    'G100/skipped': 2,
}
DETECTION = {k: v for k, v in RESULT.items() if k.startswith('det')}


def test_rows_are_split_by_protocol():
    assert list(rows(RESULT)) == ['det', 'G100']
    assert rows(RESULT)['G100']['found'] == 8


def test_table_shows_percent_beside_counts():
    text = describe_result(RESULT)
    detection = text.splitlines()[0]
    assert 'AP 80.56' in detection or 'AP 80.55' in detection
    assert detection.endswith('recall 33.33 (10 of 30 people, 12 boxes)')
    (row,) = (line for line in text.splitlines() if 'G100' in line)
    cells = [cell.strip() for cell in row.strip('│').split('│')]
    assert cells == [
        'G100',
        *('12.35' if '12.35' in row else '12.34', '100.00', '100.00', '-'),
        *('7', '2', '8', '9'),
    ]


def test_recall_of_labelled_people_is_shown_where_there_are_any():
    more = {
        'det/recall-labelled': 0.25,
        'det/gt-labelled': 8,
        'det/found-labelled': 2,
    }
    (line,) = describe_result({**DETECTION, **more}).splitlines()
    assert line.endswith('boxes); of labelled people 25.00 (2 of 8)')
    nobody = {**dict.fromkeys(more, 0), 'det/recall-labelled': float('nan')}
    assert describe_result({**DETECTION, **nobody}) == describe_result(
        DETECTION
    )


def test_fallbacks_are_shown():
    row = {
        key.replace('G100', 'G100+detected-query'): value
        for key, value in RESULT.items()
        if key.startswith('G100')
    }
    row['G100+detected-query/fallbacks'] = 3
    assert 'G100+detected-query: 3 annotated boxes' in describe_result(row)


def test_detection_alone_is_one_line():
    assert len(describe_result(DETECTION).splitlines()) == 1
    assert describe_result({}) == ''


def test_json_is_unrounded_and_strict(tmp_path):
    path = tmp_path / 'result.json'
    write_json(RESULT, path)

    def refuse(name):
        raise AssertionError(f'{name} is not JSON')

    again = json.loads(path.read_text(), parse_constant=refuse)
    assert again.pop('G100/top-10') is None
    assert again == {k: v for k, v in RESULT.items() if k != 'G100/top-10'}
    assert [p.name for p in tmp_path.iterdir()] == ['result.json']
