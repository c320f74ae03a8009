"""The workflows of GitHub, as far as they can be checked without it."""

import ast
import re
import shlex
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from mmps.commands import COMMANDS

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / '.github/workflows').glob('*.y*ml'))
#: An action at a commit, and in the comment the version which that is.
PINNED = re.compile(r'[\w.-]+/[\w./-]+@[0-9a-f]{40} +# v\d+\.\d+\.\d+')
#: A file or folder of the repository, as a step names it.
FILE = re.compile(r'(\.ci|tests|tools|configs|weights)/|requirements.*\.txt$')
PYTHON = Version('3.11'), Version('3.13')


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def jobs(path):
    return yaml.safe_load(path.read_text())['jobs']


def all_jobs():
    for path in WORKFLOWS:
        yield from yaml.safe_load(path.read_text())['jobs'].items()


def steps_of(jobs):
    return [step for job in jobs.values() for step in job['steps']]


def scripts(jobs):
    """Each line that a step runs, with its continuation lines."""
    for step in steps_of(jobs):
        text = step.get('run', '').replace('\\\n', ' ')
        yield from (line for line in text.splitlines() if line.strip())


def arguments_of_setup():
    """The keywords that setup.py passes on, where they are written out."""
    tree = ast.parse((ROOT / 'setup.py').read_text())
    (call,) = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, 'id', '') == 'setup'
    ]
    found = {}
    for keyword in call.keywords:
        try:
            found[keyword.arg] = ast.literal_eval(keyword.value)
        except ValueError:
            continue
    return found


def test_actions_are_pinned_by_commit_with_their_version(path):
    lines = [
        line.partition('uses:')[2].strip()
        for line in path.read_text().splitlines()
        if 'uses:' in line
    ]
    used = [step['uses'] for step in steps_of_text(path) if 'uses' in step]
    assert [line.partition(' ')[0] for line in lines] == used
    assert used
    for line in lines:
        assert PINNED.fullmatch(line), line


def steps_of_text(path):
    return steps_of(yaml.safe_load(path.read_text())['jobs'])


def test_an_action_has_one_commit_in_all_workflows():
    commits = {}
    for path in WORKFLOWS:
        for step in steps_of_text(path):
            if 'uses' in step:
                action, _, commit = step['uses'].partition('@')
                commits.setdefault(action, set()).add(commit)
    assert 'actions/checkout' in commits
    assert {action: len(found) for action, found in commits.items()} == (
        dict.fromkeys(commits, 1)
    )


def test_a_workflow_may_read_alone_and_ends(path, jobs):
    workflow = yaml.safe_load(path.read_text())
    assert workflow['permissions'] == {'contents': 'read'}
    assert workflow['concurrency']['cancel-in-progress'] is True
    for name, job in jobs.items():
        assert 'permissions' not in job, name
        assert 5 <= job['timeout-minutes'] <= 60, name
    for step in steps_of(jobs):
        if 'actions/checkout@' in step.get('uses', ''):
            assert step['with']['persist-credentials'] is False
    # `on` is True in YAML 1.1; nothing runs with the rights of the target
    assert 'pull_request_target' not in workflow[True]


def make_targets():
    text = (ROOT / 'Makefile').read_text()
    text = text.replace('$(VENV)', '.venv')
    return set(re.findall(r'^([\w./-]+):', text, re.M))


def values_of(jobs):
    """Matrix entries of all jobs, as strings by their name."""
    found = {}
    for job in jobs.values():
        for entry in (
            job.get('strategy', {}).get('matrix', {}).get('include', [])
        ):
            for key, value in entry.items():
                found.setdefault(key, set()).add(value)
    return found


def test_what_make_is_asked_for_is_there(jobs):
    targets = make_targets()
    assert {'test', 'lint', '.venv/.tools'} <= targets
    matrix = values_of(jobs)
    asked = set()
    for line in scripts(jobs):
        words = line.split('make ')
        if line.startswith('make '):
            target = words[1].replace('${{ matrix.', '').split()[0]
            asked |= matrix[target] if '{{' in line else {target}
    assert asked
    assert asked <= targets


def test_files_that_are_named_are_there(jobs):
    named = [
        word
        for line in scripts(jobs)
        for word in shlex.split(line.replace('$(', '').replace(')', ''))
        if FILE.match(word)
    ]
    assert named
    for word in named:
        assert list(ROOT.glob(word)), word


def test_commands_of_mmps_are_there():
    named = [
        re.search(r'bin/mmps"? (\S+)', line)
        for line in scripts(dict(all_jobs()))
    ]
    named = [match[1] for match in named if match]
    assert {'export', 'search'} <= set(named)
    assert set(named) <= set(COMMANDS)


def test_pythons_are_those_of_setup_from_the_oldest_to_the_newest():
    supported = SpecifierSet(arguments_of_setup()['python_requires'])
    oldest, newest = PYTHON
    assert oldest in supported
    assert newest in supported
    assert Version(f'3.{oldest.minor - 1}.99') not in supported
    assert Version(f'3.{newest.minor + 1}') not in supported
    jobs = dict(all_jobs())
    used = set()
    for job in jobs.values():
        for step in job['steps']:
            if 'actions/setup-python@' in step.get('uses', ''):
                used.add(step['with']['python-version'])
    used.discard('${{ matrix.python }}')
    tested = values_of(jobs)['python']
    assert {Version(version) for version in tested} == {
        Version(f'3.{minor}')
        for minor in range(oldest.minor, newest.minor + 1)
    }
    assert used <= tested
    for job, python in (('oldest', oldest), ('newest', newest)):
        setup = jobs[job]['steps'][1]['with']
        assert Version(setup['python-version']) == python


def test_the_oldest_packages_are_the_lower_bounds_of_setup():
    keywords = arguments_of_setup()
    allowed = [
        Requirement(text)
        for text in (
            *keywords['install_requires'],
            *keywords['extras_require']['lite'],
        )
    ]
    lines = (ROOT / '.ci/oldest.txt').read_text().splitlines()
    pinned = dict(
        line.split('==') for line in lines if not line.startswith('#')
    )
    assert pinned.keys() == {requirement.name for requirement in allowed}
    for requirement in allowed:
        version = Version(pinned[requirement.name])
        assert version in requirement.specifier, requirement
        (bound,) = [
            Version(part.version)
            for part in requirement.specifier
            if part.operator == '>='
        ]
        # a later patch of it, so that it has wheels
        numbers = bound.release
        assert version.release[: len(numbers)] == numbers, requirement
