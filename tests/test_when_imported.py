import importlib.resources
import inspect
import sys
from importlib import import_module

import pytest

from mmps.when_imported import when_imported


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package ``comes`` whose module ``late`` can be imported."""
    (tmp_path / 'comes').mkdir()
    (tmp_path / 'comes' / '__init__.py').write_text('')
    (tmp_path / 'comes' / 'late.py').write_text('value = 3\n')
    (tmp_path / 'comes' / 'data.txt').write_text('text')
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [n for n in sys.modules if n.split('.')[0] == 'comes']:
        del sys.modules[name]


def test_an_action_waits_for_the_end_of_the_import(package):
    found = []
    when_imported(
        'comes.late', lambda: found.append(sys.modules['comes.late'].value)
    )
    when_imported('comes.late', lambda: found.append('second'))
    import_module('comes')
    assert found == []
    import_module('comes.late')
    assert found == [3, 'second']
    when_imported('comes.late', lambda: found.append('at once'))
    assert found == [3, 'second', 'at once']
    del sys.modules['comes.late']
    import_module('comes.late')
    assert len(found) == 3


def test_the_module_is_as_if_nobody_had_waited(package):
    when_imported('comes', lambda: None)
    when_imported('comes.late', lambda: None)
    import comes.late

    assert inspect.getsource(comes.late) == 'value = 3\n'
    assert comes.late.__loader__.get_filename().endswith('late.py')
    data = importlib.resources.files('comes') / 'data.txt'
    assert data.read_text() == 'text'


def test_an_action_that_is_given_in_the_middle_of_the_import(
    package, tmp_path
):
    (tmp_path / 'comes' / 'late.py').write_text(
        'from mmps.when_imported import when_imported\n'
        'found = []\n'
        "when_imported(__name__, lambda: found.append('end'))\n"
        'middle = list(found)\n'
    )
    when_imported('comes.late', lambda: None)
    import comes.late

    assert comes.late.middle == []
    assert comes.late.found == ['end']


def test_a_module_that_does_not_exist():
    called = []
    when_imported('does_not_exist', lambda: called.append(1))
    with pytest.raises(ModuleNotFoundError, match="No module named 'does_n"):
        import does_not_exist  # noqa: F401
    assert called == []


def test_an_action_that_fails_fails_the_import(package):
    def refuse():
        raise ImportError('an untested version')

    when_imported('comes.late', refuse)
    for _ in range(2):
        with pytest.raises(ImportError, match='an untested version'):
            import comes.late  # noqa: F401
