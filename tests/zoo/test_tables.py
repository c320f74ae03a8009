import re

import pytest

from mmps.zoo import ZooError
from mmps.zoo.tables import fill, pages

from .small import entry, keys_of, make_default, write_zoo


def figures(data, **metrics):
    metrics = {k.replace('top_1', 'top-1'): v for k, v in metrics.items()}
    return {'Dataset': data, 'Metrics': metrics}


@pytest.fixture
def index(tmp_path):
    paper = [
        figures('CUHK-SYSU, G100', mAP=69.1, top_1=68.0),
        figures('CUHK-SYSU', AP=74.2, recall=81.6),
    ]
    ours = [
        figures('x', AP=50.0, recall=60.5),
        figures('x, G50', mAP=1.0, top_1=2.0),
        figures('x, G100', mAP=3.0, top_1=4.0),
    ]
    files = {
        **keys_of('weights/b.safetensors', b'0' * 6_065_790),
        'Table': keys_of('weights/t.pth', b'0', 'File'),
        'Log': 'weights/b.log.json',
    }
    return write_zoo(
        tmp_path,
        entry('a', Metadata={'lambda_oim': 1.0}, **{'Paper Results': paper}),
        entry('b', Metadata={'KD': 'reid'}, Results=ours, **files),
        entry('a2', Results=[figures('x, G7', mAP=5.0, top_1=6.0)]),
        entry('a3', Results=[figures('x', AP=1.0, recall=2.0)]),
    )


@pytest.fixture
def page(tmp_path):
    path = tmp_path / 'docs/page.md'
    path.parent.mkdir()
    return path


def table(names, page, index, old='old'):
    """Rows of a table, as lists of cells."""
    page.write_text(f'top\n\n<!-- zoo: {names} -->\n{old}\n<!-- /zoo -->\nend')
    text = fill(page, index)
    head, rest = text.split(f'<!-- zoo: {names} -->\n')
    body, foot = rest.split('<!-- /zoo -->')
    assert (head, foot) == ('top\n\n', '\nend')
    lines = body.strip('\n').splitlines()
    assert set(lines[1]) == set('| -')
    return [
        re.split(r' \| ', line.removeprefix('| ').removesuffix(' |'))
        for line in lines
    ]


def test_a_row_has_all_that_is_known(page, index):
    head, line, a, b = table('a b', page, index)
    assert head == [
        *('config', 'lambda_oim', 'KD', 'paper: search'),
        *('paper: detection', 'ours: search', 'ours: detection', 'weights'),
    ]
    assert line == ['---'] * len(head)
    assert a == [
        *('[`a`](../configs/oim/a.py)', '1.0', '-', '69.1 / 68.0'),
        *('74.2 / 81.6', 'not run', '-', '-'),
    ]
    assert b == [
        *('[`b`](../configs/oim/b.py)', '-', 'reid', '-', '-'),
        *('3.0 / 4.0', '50.0 / 60.5'),
        '[weights](../weights/b.safetensors), 6.1 MB, '
        '[log](../weights/b.log.json), [table](../weights/t.pth)',
    ]


def test_links_are_from_the_folder_of_the_page(tmp_path, index):
    readme = tmp_path / 'README.md'
    _, _, row = table('b', readme, index)
    assert row[0] == '[`b`](configs/oim/b.py)'
    assert row[-1].startswith('[weights](weights/b.safetensors)')


def test_what_no_row_has_is_no_column(page, index):
    head, *_ = table('a2', page, index)
    assert head == ['config', 'ours: search']


def test_an_unusual_protocol_is_named_and_a_detector_searches_nothing(
    page, index
):
    _, _, a2, a3 = table('a2 a3', page, index)
    assert a2[1] == '5.0 / 6.0 (G7)'
    assert a3[1:3] == ['-', '1.0 / 2.0']


@pytest.mark.parametrize(
    ('names', 'rows'),
    [
        ('b a', ['b', 'a']),
        ('a*', ['a', 'a2', 'a3']),
        ('a? a*', ['a2', 'a3', 'a']),
        ('b * b', ['b', 'a', 'a2', 'a3']),
    ],
)
def test_patterns_keep_the_order_and_repeat_nothing(names, rows, page, index):
    found = [row[0] for row in table(names, page, index)[2:]]
    assert found == [f'[`{r}`](../configs/oim/{r}.py)' for r in rows]


def test_a_page_that_is_filled_stays(page, index):
    page.write_text(
        '<!-- zoo: a -->\n<!-- /zoo -->\ntext\n'
        '<!-- zoo: b -->\n| old |\n\n<!-- /zoo -->\n'
    )
    text = fill(page, index)
    assert text.count('configs/oim/a.py)') == 1
    assert text.count('configs/oim/b.py)') == 1
    assert '\ntext\n' in text
    assert '| old |' not in text
    page.write_text(text)
    assert fill(page, index) == text


def test_a_page_without_tables_stays(page, index):
    page.write_text('A mark is `<!-- zoo: NAME -->`.\n')
    assert fill(page, index) == page.read_text()


def test_a_mark_that_names_nothing_is_an_error(page, index):
    page.write_text('<!-- zoo: a c* -->\n<!-- /zoo -->\n')
    with pytest.raises(ZooError, match=r'page\.md: no entry .* is c\*'):
        fill(page, index)


@pytest.mark.parametrize(
    ('text', 'count'),
    [
        # the text in between must not be taken for the first table
        ('<!-- zoo: a -->\nkeep\n<!-- zoo: b -->\n<!-- /zoo -->\n', '3.* 1'),
        ('<!-- zoo: a -->\n', '1 .* 0'),
        ('<!-- /zoo -->\n', '1 .* 0'),
        ('<!-- zoo: a --> text\n<!-- /zoo -->\n', '2 .* 0'),
    ],
)
def test_a_mark_without_another_is_an_error(text, count, page, index):
    page.write_text(text)
    match = rf'page\.md: has {count} tables'
    with pytest.raises(ZooError, match=match):
        fill(page, index)


def test_all_kinds_of_pages_are_looked_at(tmp_path):
    names = ['README.md', 'docs/a.md', 'docs/b.md', 'configs/x/README.md']
    for name in [*names, 'docs/deep/c.md', 'docs/c.txt']:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('')
    found = [str(p.relative_to(tmp_path)) for p in pages(tmp_path)]
    assert found == names


def test_the_tool_tells_and_writes_what_is_stale(
    tmp_path, page, index, monkeypatch, command
):
    make_default(monkeypatch, tmp_path)
    (tmp_path / 'README.md').write_text('no table\n')
    stale = '<!-- zoo: a -->\n<!-- /zoo -->\n'
    page.write_text(stale)
    code, out, _ = command('results-table', '--check')
    assert (code, out) == (1, 'docs/page.md: stale\n1 pages are stale\n')
    assert page.read_text() == stale
    code, out, _ = command('results-table')
    assert (code, out) == (0, 'docs/page.md: written\n1 pages were changed\n')
    code, out, _ = command('results-table', '--check')
    assert (code, out) == (0, '0 pages are stale\n')
