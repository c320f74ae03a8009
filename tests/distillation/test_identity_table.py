import hashlib
import math
import re

import pytest
import torch
import torch.nn.functional as F

from mmps.checkpoints import CheckpointError
from mmps.distillation import (
    IdentityTable,
    complete_table,
    read_table,
    write_table,
)
from mmps.distillation.identity_table import describe
from mmps.models import OIMLoss
from tests.zoo import small as zoo

KEY = 'roi_head.oim_head.loss_oim.'
NAMES = ('p7', 'p3', 'é 9', 'p1')


def rows_of(num=4, dim=6, seed=0):
    """Rows of several lengths, none of them 1."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.linspace(0.5, 0.9, num)[:, None]
    rows = torch.randn(num, dim, generator=generator)
    return F.normalize(rows, dim=1) * lengths


def table_of(names=NAMES, dim=6, seed=0):
    names = None if names is None else tuple(names)
    rows = rows_of(len(names or NAMES), dim, seed)
    return IdentityTable(rows, names, 'teacher.pth', 'drawn')


def save(path, content):
    torch.save(content, path)
    return path


def state_of(rows, names=NAMES, prefix=''):
    """The weights of a network with this table, and some others."""
    loss = OIMLoss(num_ids=len(rows), feat_dim=rows.shape[1], queue_size=3)
    loss.table.copy_(rows)
    if names:
        loss.name_identities(list(names))
    weights = {f'{KEY}{k}': v for k, v in loss.state_dict().items()}
    weights['roi_head.bbox_head.fc_cls.weight'] = torch.ones(2, 8)
    return {prefix + key: value for key, value in weights.items()}


class TestReading:
    def check(self, path):
        table = read_table(path)
        assert torch.equal(table.rows, rows_of())
        assert table.names == NAMES
        assert table.source == str(path)
        assert path.name in table.origin

    def test_a_training_checkpoint(self, tmp_path):
        content = dict(
            state_dict=state_of(rows_of()),
            meta=dict(epoch=3, iter=7),
            optimizer=dict(state={}),
        )
        self.check(save(tmp_path / 'epoch_3.pth', content))

    def test_plain_weights(self, tmp_path):
        self.check(save(tmp_path / 'plain.pth', state_of(rows_of())))

    def test_nothing_but_a_table_and_its_names(self, tmp_path):
        state = state_of(rows_of())
        two = {
            key: state[key] for key in (f'{KEY}table', f'{KEY}_extra_state')
        }
        self.check(save(tmp_path / 'two.pth', dict(state_dict=two)))

    def test_weights_that_were_saved_with_their_wrapper(self, tmp_path):
        state = state_of(rows_of(), prefix='module.')
        self.check(save(tmp_path / 'ddp.pth', state))

    def test_safetensors(self, tmp_path):
        safetensors = pytest.importorskip('safetensors.torch')
        path = tmp_path / 'oim.safetensors'
        safetensors.save_file(state_of(rows_of()), path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        (tmp_path / f'{path.name}.sha256').write_text(f'{digest}  x\n')
        self.check(path)

    @pytest.mark.parametrize('key', [None, f'{KEY}_extra_state'])
    def test_a_table_without_names(self, key, tmp_path):
        state = state_of(rows_of(), names=())
        if key:
            del state[key]
        table = read_table(save(tmp_path / 'x.pth', state))
        assert table.names is None
        assert torch.equal(table.rows, rows_of())

    def test_a_released_table(self, tmp_path, monkeypatch):
        zoo.private_cache(monkeypatch, tmp_path)
        write_table(table_of(), tmp_path / 'new.pth', half=True)
        content = (tmp_path / 'new.pth').read_bytes()
        keys = zoo.keys_of('weights/t.pth', content, 'File')
        root = tmp_path / 'zoo'
        zoo.put(root, 'weights/t.pth', content)
        zoo.write_zoo(root, zoo.entry('t', Table=keys), zoo.entry('none'))
        zoo.make_default(monkeypatch, root)
        table, expected = (
            read_table('zoo://t'),
            read_table(tmp_path / 'new.pth'),
        )
        assert torch.equal(table.rows, expected.rows)
        assert (table.names, table.origin) == (NAMES, 'drawn')
        assert table.source == 'zoo://t'
        with pytest.raises(CheckpointError, match='lookup table is not rel'):
            read_table('zoo://none')
        # whatever is wrong with it is told by its address
        match = 'zoo://t: it has 4 identities, the student 5'
        with pytest.raises(CheckpointError, match=match):
            table.for_identities(None, 5, 6)

    def test_a_table_file_says_how_it_was_made(self, tmp_path):
        content = dict(
            table=rows_of(), identity_names=list(NAMES), origin='by hand'
        )
        table = read_table(save(tmp_path / 'lut.pth', content))
        assert torch.equal(table.rows, rows_of())
        assert (table.names, table.origin) == (NAMES, 'by hand')

    def test_one_identity_is_enough(self, tmp_path):
        path = save(tmp_path / 'x.pth', state_of(rows_of(1), ['p1']))
        assert read_table(path).names == ('p1',)


class TestRefusing:
    def refuse(self, path, content, match):
        with pytest.raises(CheckpointError, match=match) as caught:
            read_table(save(path, content))
        assert caught.value.file == str(path)

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(CheckpointError, match=r'x\.pth: no such file'):
            read_table(tmp_path / 'x.pth')

    @pytest.mark.parametrize(
        ('key', 'kind'),
        [
            ('roi_head.bbox_head.fc_cls.weight', 'a detector alone'),
            ('layer1.0.conv1.weight', 'another network'),
        ],
    )
    def test_weights_without_a_table(self, key, kind, tmp_path):
        content = dict(state_dict={key: torch.ones(2, 2)})
        match = f'has 0 lookup tables .* of {kind}.*mmps lut compute'
        self.refuse(tmp_path / 'x.pth', content, match)

    def test_two_tables(self, tmp_path):
        state = {**state_of(rows_of()), **state_of(rows_of(), prefix='b.')}
        match = f"has 2 lookup tables, .*'{KEY}table', 'b.{KEY}table'"
        self.refuse(tmp_path / 'x.pth', state, match)

    @pytest.mark.parametrize(
        ('rows', 'match'),
        [
            (torch.ones(4), r'torch\.float32 of shape \(4,\)'),
            (torch.ones(4, 6).long(), r'torch\.int64 of shape \(4, 6\)'),
            (torch.ones(0, 6), r'torch\.float32 of shape \(0, 6\)'),
            (torch.ones(4, 0), r'torch\.float32 of shape \(4, 0\)'),
        ],
    )
    def test_what_is_not_one_vector_per_identity(self, rows, match, tmp_path):
        self.refuse(tmp_path / 'x.pth', dict(table=rows), match)

    @pytest.mark.parametrize(
        ('names', 'match'),
        [
            (NAMES[:3], 'has 3 identity names for 4 rows'),
            (('a', 'b', 'a', 'c'), 'the same identity name twice'),
        ],
    )
    def test_names_that_do_not_fit(self, names, match, tmp_path):
        file = dict(table=rows_of(), identity_names=list(names))
        self.refuse(tmp_path / 'file.pth', file, match)
        state = state_of(rows_of(), names=())
        text = list('\n'.join(names).encode())
        state[f'{KEY}_extra_state'] = torch.tensor(text, dtype=torch.uint8)
        self.refuse(tmp_path / 'weights.pth', state, match)

    def test_rows_of_identities_that_were_never_seen(self, tmp_path):
        rows = rows_of()
        rows[1] = rows[3] = 0
        match = r'2 of 4 rows of its table are zero: identities p1, p3\.'
        self.refuse(tmp_path / 'x.pth', state_of(rows), match)

    def test_many_such_rows_are_counted(self, tmp_path):
        names = [f'p{i}' for i in range(9)]
        rows = rows_of(9)
        rows[:8] = 0
        match = '8 of 9 .* p0, p1, p2, p3, p4, and 3 more'
        self.refuse(tmp_path / 'x.pth', state_of(rows, names), match)

    def test_rows_without_names_are_numbered(self, tmp_path):
        rows = rows_of()
        rows[2] = 0
        match = r'1 of 4 .* zero: identities 2\.'
        self.refuse(tmp_path / 'x.pth', state_of(rows, ()), match)

    def test_rows_that_are_not_finite(self, tmp_path):
        # the reader of checkpoints is first, and names the tensor
        rows = rows_of()
        rows[1, 2] = math.nan
        self.refuse(tmp_path / 'x.pth', state_of(rows), f'NaN.*{KEY}table')
        file = dict(table=rows, identity_names=list(NAMES))
        self.refuse(tmp_path / 'y.pth', file, 'NaN or infinity: table')


class TestWriting:
    @pytest.mark.parametrize('half', [False, True])
    def test_a_file_holds_what_was_written(self, half, tmp_path):
        path = tmp_path / 'new' / 'lut.pth'
        write_table(table_of(), path, half=half)
        stored = torch.load(path, weights_only=True)
        assert set(stored) == {'table', 'identity_names', 'origin'}
        dtype = torch.float16 if half else torch.float32
        assert stored['table'].dtype == dtype
        table = read_table(path)
        assert table.rows.dtype == torch.float32
        assert (table.names, table.origin) == (NAMES, 'drawn')
        expected = rows_of() / rows_of().norm(dim=1, keepdim=True)
        limit = 1e-3 if half else 1e-6
        torch.testing.assert_close(table.rows, expected, rtol=0, atol=limit)

    def test_half_precision_keeps_cosines_to_a_thousandth(self, tmp_path):
        names = [f'p{i}' for i in range(60)]
        table = table_of(names, dim=256)
        for half in (False, True):
            write_table(table, tmp_path / f'{half}.pth', half=half)
        exact, rounded = (
            read_table(tmp_path / f'{half}.pth').normalised()
            for half in (False, True)
        )
        assert not torch.equal(exact, rounded)
        apart = exact @ exact.t() - rounded @ rounded.t()
        assert apart.abs().max() < 1e-3
        sizes = [
            (tmp_path / f'{half}.pth').stat().st_size for half in (False, True)
        ]
        assert sizes[1] < 0.6 * sizes[0]

    def test_a_table_without_names_is_not_written(self, tmp_path):
        with pytest.raises(CheckpointError, match=r'no identity names.*Hook'):
            write_table(table_of(names=None), tmp_path / 'x.pth')
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize('name', ['lut', 'lut.pt', 'lut.pth.zip'])
    def test_another_suffix_is_refused(self, name, tmp_path):
        with pytest.raises(CheckpointError, match=r'ends in \.pth'):
            write_table(table_of(), tmp_path / name)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ('value', 'problem'),
        [(math.nan, 'not finite'), (math.inf, 'not finite'), (0.0, 'zero')],
    )
    def test_bad_rows_are_named_and_not_written(
        self, value, problem, tmp_path
    ):
        table = table_of()
        table.rows[1:3] = value
        match = f'2 of 4 rows .* {problem}: identities p3, é 9'
        with pytest.raises(CheckpointError, match=match):
            write_table(table, tmp_path / 'x.pth')
        assert not list(tmp_path.iterdir())


class TestOrder:
    def test_rows_come_back_of_unit_length(self):
        rows, moved = table_of().for_identities(list(NAMES), 4, 6)
        expected = rows_of() / rows_of().norm(dim=1, keepdim=True)
        torch.testing.assert_close(rows, expected, rtol=0, atol=1e-6)
        assert moved == 0

    def test_every_identity_keeps_its_row_in_another_order(self):
        table = table_of()
        # a cycle of three: its inverse is another order
        names = ['p3', 'é 9', 'p7', 'p1']
        rows, moved = table.for_identities(names, 4, 6)
        assert moved == 3
        by_name = dict(zip(NAMES, table.normalised(), strict=True))
        for name, row in zip(names, rows, strict=True):
            assert torch.equal(row, by_name[name])

    def test_the_table_itself_stays_as_it_was(self):
        table = table_of()
        rows, _ = table.for_identities(list(NAMES), 4, 6)
        rows.zero_()
        assert torch.equal(table.rows, rows_of())

    @pytest.mark.parametrize(
        ('num_ids', 'feat_dim', 'match'),
        [
            (4, 8, 'its rows have 6 values, the embeddings .* 8.*feat_dim'),
            (5, 6, 'it has 4 identities, the student 5'),
        ],
    )
    @pytest.mark.parametrize('trust', [False, True])
    def test_another_size_is_refused(self, num_ids, feat_dim, match, trust):
        names = [*NAMES, 'p0'][:num_ids]
        with pytest.raises(CheckpointError, match=match):
            table_of().for_identities(names, num_ids, feat_dim, trust)

    @pytest.mark.parametrize('trust', [False, True])
    def test_other_people_are_counted_and_named(self, trust):
        names = ['p3', 'q2', 'q1', 'p7']
        match = (
            r'2 identities of the student are not in the table \(q1, q2\), '
            r"2 of the table are not the student's \(p1, é 9\)"
        )
        with pytest.raises(CheckpointError, match=match):
            table_of().for_identities(names, 4, 6, trust)

    def test_only_the_first_of_many_others_are_named(self):
        table = table_of([f'a{i}' for i in range(7)])
        match = r'7 .*\(b0, b1, b2, b3, b4, and 2 more\), 7 .*\(a0, '
        with pytest.raises(CheckpointError, match=match):
            table.for_identities([f'b{i}' for i in range(7)], 7, 6)

    @pytest.mark.parametrize(
        ('ours', 'theirs', 'side'),
        [
            (None, NAMES, 'the table'),
            (NAMES, None, 'the data set'),
            (None, None, 'the table'),
        ],
    )
    def test_an_order_that_no_one_knows_must_be_trusted(
        self, ours, theirs, side
    ):
        table = table_of(ours)
        match = f'{side} has no identity names.*trust_order=True'
        with pytest.raises(CheckpointError, match=match):
            table.for_identities(theirs, 4, 6)
        rows, moved = table.for_identities(theirs, 4, 6, trust_order=True)
        assert torch.equal(rows, table.normalised())
        assert moved == 0

    def test_names_decide_even_where_the_order_is_trusted(self):
        names = ['p1', *NAMES[:3]]
        expected = table_of().for_identities(names, 4, 6)
        got = table_of().for_identities(names, 4, 6, trust_order=True)
        assert expected[1] == got[1] == 4
        assert torch.equal(expected[0], got[0])


class TestCompleting:
    def test_rows_that_are_missing_are_those_of_the_other(self):
        table = table_of(['p3', 'p1'], seed=1)
        other = table_of(['p1', 'p2', 'p3', 'p4'], seed=2)
        got = complete_table(table, other)
        expected = other.normalised()
        expected[0], expected[2] = table.normalised()[[1, 0]]
        assert torch.equal(got.rows, expected)
        assert got.names == other.names
        assert got.origin == 'drawn; 2 rows (p2, p4) are of: drawn'

    @pytest.mark.parametrize(
        ('table', 'other', 'match'),
        [
            ((None,), (['p1'],), 'has no identity names'),
            ((['p1'],), (None,), 'has no identity names'),
            ((['p1'],), (['p1', 'p2'], 5), 'have 5 values, .* 6. Compute'),
            ((['p1', 'x'],), (['p1', 'p2'],), r'1 identities .* \(x\)'),
            ((['p1', 'p2'],), (['p2', 'p1'],), 'has all 2 identities'),
        ],
    )
    def test_what_cannot_be_completed_is_told(self, table, other, match):
        with pytest.raises(CheckpointError, match=match):
            complete_table(table_of(*table), table_of(*other))


class TestDescription:
    def test_it_shows_what_there_is(self):
        text = describe(table_of())
        lines = dict(line.split(maxsplit=1) for line in text.splitlines())
        assert lines['file'] == 'teacher.pth'
        assert lines['origin'] == 'drawn'
        assert lines['identities'] == '4'
        assert lines['embedding'] == '6 values'
        assert lines['names'] == 'p1, p3, p7, é 9'
        assert lines['norms'] == '0.5000 to 0.9000'

    def test_the_closest_pair_is_that_of_all_pairs(self):
        names = [f'p{i}' for i in range(8)]
        table = table_of(names, dim=3, seed=4)
        cosines = {
            (i, j): float(F.cosine_similarity(*table.rows[[i, j]], dim=0))
            for i in range(8)
            for j in range(8)
            if i != j
        }
        nearest = sorted(
            max(cosines[i, j] for j in range(8) if j != i) for i in range(8)
        )
        closest = max(cosines, key=cosines.get)
        (line,) = [
            line
            for line in describe(table).splitlines()
            if line.startswith('cosines')
        ]
        assert f'median {nearest[3]:.3f}, at most {nearest[7]:.3f} ' in line
        i, j = closest
        assert line.endswith((f'(p{i} and p{j})', f'(p{j} and p{i})'))

    def test_rows_without_names_are_numbered(self):
        text = describe(table_of(names=None))
        assert 'names       none' in text
        assert '(row ' in text

    def test_no_one_is_closest_to_himself(self):
        # three directions, 120 degrees apart
        angles = torch.tensor([0.0, 120, 240]).deg2rad()
        rows = torch.stack([angles.cos(), angles.sin()], dim=1)
        text = describe(IdentityTable(rows, ('a', 'b', 'c'), 'x', 'x'))
        assert 'median -0.500, at most -0.500 (' in text
        pair = text.rpartition('(')[2].rstrip(')').split(' and ')
        assert len(set(pair)) == 2

    def test_one_identity_has_no_other(self):
        text = describe(table_of(['p1']))
        assert 'identities  1' in text
        assert 'cosines' not in text


class TestTool:
    @pytest.fixture
    def tool(self, command):
        """Runs ``mmps lut``; returns what it printed."""

        def run(*arguments):
            code, out, err = command('lut', *arguments)
            assert code == 0, err
            return out

        return run

    def test_it_extracts_and_describes(self, tool, tmp_path):
        names = [f'p{i}' for i in range(60)]
        rows = rows_of(60, 256)
        source = save(tmp_path / 'epoch_3.pth', state_of(rows, names))
        assert 'norms       0.5000 to 0.9000' in tool('info', source)
        sizes = []
        for number, options in enumerate([(), ('--half',)]):
            path = tmp_path / f'{number}.pth'
            text = tool('extract', source, path, *options)
            sizes.append(path.stat().st_size)
            assert f'{path}: {sizes[-1] / 1024:.1f} KiB' in text
            assert 'origin      lookup table of epoch_3.pth' in text
            got = read_table(path)
            assert got.names == tuple(names)
            torch.testing.assert_close(
                got.rows, F.normalize(rows, dim=1), rtol=0, atol=1e-3
            )
            again = tool('info', path)
            assert again.splitlines()[-7:] == text.splitlines()[-8:-1]
        assert sizes[1] < 0.6 * sizes[0]

    def test_it_writes_random_rows_for_the_same_people(self, tool, tmp_path):
        names = [f'p{i}' for i in range(50)]
        source = save(
            tmp_path / 'epoch_3.pth', state_of(rows_of(50, 64), names)
        )
        tables = []
        for number, seed in enumerate((5, 5, 6)):
            path = tmp_path / f'{number}.pth'
            text = tool('random', source, path, '--seed', seed)
            assert f'origin      random rows, seed {seed}' in text
            tables.append(read_table(path))
        assert {table.names for table in tables} == {tuple(names)}
        first, again, other = (table.rows for table in tables)
        assert torch.equal(first, again)
        # cosines of random directions have a deviation of 1 / sqrt(64)
        for one in (other, read_table(source).normalised()):
            assert (first * one).sum(dim=1).abs().max() < 6 / 8

    def test_it_completes(self, tool, tmp_path):
        paths = [tmp_path / f'{name}.pth' for name in ('few', 'all', 'out')]
        write_table(table_of(['p2'], seed=1), paths[0])
        write_table(table_of(['p1', 'p2'], seed=2), paths[1])
        assert 'identities  2' in tool('complete', *paths)
        few, everyone, out = map(read_table, paths)
        assert out.names == ('p1', 'p2')
        expected = torch.stack([everyone.rows[0], few.rows[0]])
        torch.testing.assert_close(out.rows, expected)

    def test_a_bad_table_is_not_extracted(self, command, tmp_path):
        rows = rows_of()
        rows[1] = 0
        source = save(tmp_path / 'epoch_3.pth', state_of(rows))
        out = tmp_path / 'lut.pth'
        code, _, err = command('lut', 'extract', source, out)
        assert code == 2
        assert re.search(r'1 of 4 .* p3\.', err)
        assert not out.exists()
