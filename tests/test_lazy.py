import subprocess
import sys
from pathlib import Path

import pytest

from mmps.lazy import lazy_names
from tests.fresh import run_fresh

ROOT = Path(__file__).parents[1]
HEAVY = ('torch', 'mmengine', 'mmcv', 'mmdet', 'matplotlib', 'scipy')


def run(program):
    done = subprocess.run(
        [sys.executable, '-c', f'import sys\n{program}'],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def fresh(program):
    """What a program prints that may find torch imported."""
    code, out, errors = run_fresh(program)
    assert code == 0, errors
    return out


@pytest.mark.parametrize(
    ('program', 'allowed'),
    [
        ('import mmps', ()),
        ('import mmps.models, mmps.engine, mmps.datasets', ()),
        ('from mmps.zoo import load_index; load_index()', ()),
        ('from mmps.evaluation.dump import read_dump', ()),
        ('from mmps.evaluation.scoring import score_features', ('scipy',)),
        ('from mmps.synthetic import generate', ()),
    ],
)
def test_what_needs_no_network_loads_no_torch(program, allowed):
    modules = run(f'{program}\nprint(*sys.modules)').split()
    loaded = {name.split('.')[0] for name in modules}
    assert not loaded & set(HEAVY) - set(allowed)


@pytest.mark.parametrize(
    'program',
    [
        'import mmps; from mmdet.registry import MODELS as R',
        'from mmdet.registry import MODELS as R; import mmps',
        'import mmps.models.oim_loss; from mmdet.registry import MODELS as R',
        # a registry that has looked for its parts already
        'from mmdet.registry import MODELS as R; R._imported = True\n'
        'import mmps',
    ],
)
def test_mmdet_finds_the_parts_in_any_order_of_imports(program):
    found = 'print(R.get("OIMHead").__name__, R.get("QEEPS").__name__)'
    assert fresh(f'{program}\n{found}').split() == ['OIMHead', 'QEEPS']


def test_nothing_is_registered_before_something_is_looked_for():
    program = 'import sys, mmps, mmdet.registry\nprint(*sys.modules)'
    loaded = fresh(program).split()
    assert 'mmdet.registry' in loaded
    assert 'mmps.models.oim_head' not in loaded


def test_registries_of_others_are_left_alone():
    other = (
        'from mmengine.registry import Registry\n'
        'print(Registry("other", scope="other")._locations)'
    )
    assert fresh(f'import mmps, mmdet.registry\n{other}').strip() == '[]'


def test_every_part_that_registers_itself_is_found():
    """A module with a component is imported by ``mmps.registered``."""
    components = [
        '.'.join(path.relative_to(ROOT).with_suffix('').parts)
        for path in (ROOT / 'mmps').rglob('*.py')
        # mmps.export is optional, and imported by those who have its packages
        if 'register_module(' in path.read_text()
        and 'export' not in path.parts
    ]
    program = 'import sys, mmps.registered\nprint(*sys.modules)'
    loaded = fresh(program).split()
    assert len(components) > 30
    assert set(components) <= set(loaded)


def test_checkpoints_are_safe_as_soon_as_mmengine_can_load_them():
    program = (
        'import mmps\n'
        'from mmengine.runner.checkpoint import CheckpointLoader as C\n'
        'for place in ("x.pth", "http://x", "zoo://x"):\n'
        '    print(C._get_checkpoint_loader(place).__module__)\n'
    )
    schemes = 'mmps.checkpoints.schemes'
    expected = [schemes, schemes, 'mmps.zoo.scheme']
    assert fresh(program).split() == expected


def test_names_are_listed_before_they_are_imported():
    listed = run('import mmps.models\nprint(*dir(mmps.models))').split()
    assert {'OIMHead', 'QEEPS', '__name__'} <= set(listed)


def test_a_name_that_is_not_there():
    import mmps.engine

    with pytest.raises(AttributeError, match=r"'mmps\.engine' has no attr"):
        mmps.engine.CheckpointErorr  # noqa: B018
    assert not hasattr(mmps, '__wrapped__')


def test_an_error_in_a_module_is_not_hidden(tmp_path, monkeypatch):
    package = tmp_path / 'lazily'
    package.mkdir()
    (package / '__init__.py').write_text(
        'from mmps.lazy import lazy_names\n'
        "__getattr__, __dir__, __all__ = lazy_names(__name__, broken='a b')\n"
    )
    (package / 'broken.py').write_text('import no_such_module\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    import lazily

    assert lazily.__all__ == ['a', 'b']
    with pytest.raises(ModuleNotFoundError, match='no_such_module'):
        lazily.a  # noqa: B018
    with pytest.raises(ModuleNotFoundError, match='no_such_module'):
        lazily.broken  # noqa: B018


def test_a_name_of_a_module_and_of_its_part_is_refused():
    with pytest.raises(ValueError, match=r"both a module and a name: \{'x'\}"):
        lazy_names('p', x='x y')
