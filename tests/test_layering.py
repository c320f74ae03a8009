"""Who may import whom (docs/design.md)."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / 'mmps'
#: Files that know no other part and that all may name.
GROUND_FLOOR = (
    *('structures', 'seeding', 'fingerprint', 'errors', 'atomic_files'),
    *('lazy', 'openmp', 'when_imported', 'plain_model'),
)
MAY_IMPORT = {  # part -> other parts of mmps that it may name
    **{part: set() for part in GROUND_FLOOR},
    'ops': set(),
    'compat': {'ops'},
    'synthetic': set(),
    'datasets': set(),
    'models': {'ops'},
    'evaluation': set(),
    'checkpoints': set(),
    # its face also shows what moved to checkpoints
    'engine': {'ops', 'checkpoints'},
    'zoo': {'checkpoints'},
    # finds configs beside the index of the zoo
    'configs': {'zoo'},
    # boxes of other programs -> a data set -> a config
    'own_data': {'datasets', 'checkpoints', 'zoo'},
    'distillation': {'models', 'engine', 'checkpoints', 'zoo', 'configs'},
    # files of other code bases -> weights and a table file
    'published': {'checkpoints', 'zoo', 'distillation'},
    # builds models by their configs, knows none of them
    'inference': {'checkpoints', 'evaluation', 'datasets', 'zoo', 'configs'},
    # reads networks as inference does, and knows what their parts compute
    'export': {'evaluation', 'inference', 'models', 'ops'},
    'visualization': {'datasets', 'evaluation', 'inference'},
    'report': {'evaluation', 'visualization'},
    'demo': {'datasets', 'inference', 'synthetic', 'visualization'},
    'experiments': {
        'configs',
        'engine',
        'models',
        'distillation',
        'visualization',
        'zoo',
    },
}
# the command line: knows all, and nobody knows it
MAY_IMPORT['commands'] = {*MAY_IMPORT, 'apis', 'publishing'}
PURE = [
    *('search.py', 'detection.py', 'cbgm.py', 'match_threshold.py'),
    *('galleries.py', 'pairs.py', 'rankings.py', 'comparison.py'),
]
#: Files of arrays and of lines, for programs without torch.
NO_TORCH = [
    *(f'evaluation/{name}.py' for name in ('dump', 'features', 'npz')),
    'evaluation/per_query.py',
    *(f'evaluation/pair_{name}.py' for name in ('findings', 'store')),
    *(f'evaluation/{name}.py' for name in ('claims', 'units', 'plain_pass')),
    *(f'evaluation/{name}.py' for name in ('stored_pairs', 'search_arrays')),
    *(f'inference/{name}.py' for name in ('gallery_index', 'matches')),
    *(f'inference/{name}.py' for name in ('groups', 'match_text')),
    *(f'inference/{name}.py' for name in ('inferencer', 'index_file')),
    *(f'inference/{name}.py' for name in ('advice', 'people', 'scenes')),
    *(f'inference/onnx_{name}.py' for name in ('boxes', 'file')),
    *(
        f'inference/onnx_{name}.py'
        for name in ('metadata', 'network', 'session')
    ),
    *(f'datasets/{name}.py' for name in ('clipping', 'decoding', 'pictures')),
    *(f'inference/{name}.py' for name in ('gallery_store', 'where')),
    *(f'inference/{name}.py' for name in ('lance_store', 'origins')),
    *(f'inference/{name}.py' for name in ('file_records', 'qdrant_store')),
    'inference/store_locks.py',
]


def modules_named(path):
    """Absolute names of all modules that a file imports, anywhere in it."""
    package = ('mmps', *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level]
            prefix = '.'.join(base) if node.level else ''
            name = '.'.join(filter(None, (prefix, node.module)))
            yield name
            yield from (f'{name}.{alias.name}' for alias in node.names)


FILES = sorted(p for p in PACKAGE.rglob('*.py') if p.parent != PACKAGE)
FILES += [
    PACKAGE / f'{part}.py' for part in (*GROUND_FLOOR, 'compat', 'configs')
]


def test_a_part_names_only_what_it_may():
    wrong = {}
    for path in FILES:
        part = path.relative_to(PACKAGE).parts[0].removesuffix('.py')
        named = {
            name.split('.')[1]
            for name in modules_named(path)
            if name.startswith('mmps.') and name != 'mmps.__version__'
        }
        independent = part in GROUND_FLOOR or part == 'ops'
        shared = set() if independent else set(GROUND_FLOOR)
        if beyond := named - {part} - MAY_IMPORT[part] - shared:
            wrong[str(path.relative_to(PACKAGE))] = beyond
    assert not wrong


@pytest.mark.parametrize('name', PURE)
def test_the_scorers_are_plain_numpy(name):
    named = {
        n.split('.')[0] for n in modules_named(PACKAGE / 'evaluation' / name)
    }
    assert not named & {'torch', 'mmdet', 'mmengine', 'mmcv', 'pathlib', 'os'}


@pytest.mark.parametrize('path', NO_TORCH)
def test_files_of_arrays_need_no_torch(path):
    named = {n.split('.')[0] for n in modules_named(PACKAGE / path)}
    assert not named & {'torch', 'mmdet', 'mmengine', 'mmcv'}


def test_ops_import_torch_alone():
    for path in (PACKAGE / 'ops').glob('*.py'):
        named = {n.split('.')[0] for n in modules_named(path)}
        assert not named & {'mmdet', 'mmengine', 'numpy'}


def test_imports_have_one_style():
    """``.module`` within a room, ``mmps.room`` from one to another."""
    wrong = []
    for path in sorted(PACKAGE.rglob('*.py')):
        room = path.relative_to(PACKAGE).parts[:-1]
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom):
                continue
            named = (node.module or '').split('.')
            line = f'{path.relative_to(PACKAGE)}:{node.lineno}'
            if node.level > bool(room):
                wrong.append(f'{line}: from .. import')
            if room and named[:2] == ['mmps', room[0]]:
                wrong.append(f'{line}: from . is shorter')
    assert not wrong


def test_imports_form_no_circle():
    """Between modules, as far as they are imported when a module is."""
    modules = {
        '.'.join(('mmps', *p.relative_to(PACKAGE).with_suffix('').parts)): p
        for p in PACKAGE.rglob('*.py')
        if p.name != '__init__.py'
    }
    needs = {
        name: set(modules_named(path)) & modules.keys()
        for name, path in modules.items()
    }
    # a circle is found, and named
    TopologicalSorter(needs).prepare()


def test_every_part_has_rules():
    parts = {p.name for p in PACKAGE.iterdir() if (p / '__init__.py').exists()}
    assert parts <= set(MAY_IMPORT)
