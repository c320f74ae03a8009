import json
from pathlib import Path

import pytest

from . import __main__ as program
from .campaigns import CAMPAIGNS, Campaign
from .trial import Trial, batches


def numbers(trial):
    return {number: rng.random() for number, rng in trial.each()}


def test_a_case_alone_is_what_it_is_in_the_whole():
    whole = Trial(7, 5, Path(), 1)
    drawn = numbers(whole)
    assert (whole.done, list(drawn)) == (5, [0, 1, 2, 3, 4])
    assert len(set(drawn.values())) == 5
    assert numbers(Trial(7, 1, Path(), 1, only=3)) == {3: drawn[3]}
    assert numbers(Trial(8, 1, Path(), 1, only=3)) != {3: drawn[3]}


def test_no_case_begins_after_the_time():
    trial = Trial(0, 5, Path(), minutes=0)
    assert (numbers(trial), trial.done) == ({}, 0)


def test_what_breaks_is_kept_and_the_next_case_runs():
    trial = Trial(0, 3, Path(), 1)
    for number, _ in trial.each():
        with trial.attempt(number):
            assert number != 1, 'one is too few'
    assert trial.done == 3
    [(number, text)] = trial.broken
    assert number == 1
    assert text.startswith('AssertionError at test_trial.py:')
    assert 'one is too few' in text
    with pytest.raises(KeyboardInterrupt), trial.attempt(4):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ('done', 'broken', 'verdict'),
    [(4, [], 'kept'), (3, [], 'out of time'), (4, [(2, 'x')], 'BROKEN')],
)
def test_the_result_says_what_a_run_gave(
    done, broken, verdict, tmp_path, monkeypatch, capsys
):
    def attack(name, trial):
        trial.done, trial.broken = done, broken
        return f'{name} was seen'

    campaign = Campaign('Nothing breaks.', 'all of 8', 8, 1.0)
    monkeypatch.setitem(CAMPAIGNS, 'fake', campaign)
    monkeypatch.setattr(program, 'attack', attack)

    def run(name, args):
        program._run_here(name, args)
        return json.loads((args.out / f'{name}.json').read_text())

    monkeypatch.setattr(program, '_run', run)
    monkeypatch.setattr(
        'sys.argv',
        ['torture', 'fake', '--share', '0.5', '--out', str(tmp_path)],
    )
    assert program.main() == (verdict != 'kept')
    printed = capsys.readouterr().out
    assert f'{verdict}' in printed.splitlines()[-1]
    assert f'{done} of 4 cases' in printed
    assert 'fake was seen' in printed
    kept = json.loads((tmp_path / 'fake.json').read_text())
    assert (kept['cases'], kept['whole']) == (4, False)


def test_a_run_goes_on_with_what_is_left(tmp_path, monkeypatch):
    seen = []

    def attack(name, trial):
        for number, _ in trial.each():
            seen.append(number)
            trial.figures[str(number)] = 'x'
            with trial.attempt(number):
                assert number != 1
            if number == 2:
                raise KeyboardInterrupt
        return f'{len(trial.figures)} seen'

    def run(*more):
        command = ['torture', 'fake', '--here', '--out', str(tmp_path), *more]
        monkeypatch.setattr('sys.argv', command)
        program.main()
        return json.loads((tmp_path / 'fake.json').read_text())

    campaign = Campaign('Nothing breaks.', 'all of 5', 5, 1.0, goes_on=True)
    monkeypatch.setitem(CAMPAIGNS, 'fake', campaign)
    monkeypatch.setattr(program, 'attack', attack)
    monkeypatch.setattr(program, 'commit', lambda: 'aaa')
    with pytest.raises(KeyboardInterrupt):
        run()
    half = json.loads((tmp_path / 'fake.json').read_text())
    assert (half['done'], half['seen']) == (2, 'not at its end')
    monkeypatch.setattr(program, 'commit', lambda: 'bbb')
    seen.clear()
    with pytest.raises(KeyboardInterrupt):
        run('--go-on')
    assert seen == [2]
    half = half | dict(done=3)
    (tmp_path / 'fake.json').write_text(json.dumps(half))
    result = run('--go-on')
    assert seen == [2, 3, 4]
    assert (result['done'], result['commit']) == (5, 'aaa, bbb')
    assert [number for number, _ in result['broken']] == [1]
    assert result['seconds'] >= half['seconds']
    with pytest.raises(SystemExit, match='another seed'):
        run('--go-on', '--seed', '1')


def test_a_campaign_in_one_go_does_not_go_on(monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', ['torture', 'kills', '--go-on'])
    with pytest.raises(SystemExit):
        program.main()
    assert 'kills: runs in one go' in capsys.readouterr().err


def test_batches_are_the_same_items():
    assert list(batches(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batches([], 2)) == []


def test_an_unknown_name_is_refused(monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', ['torture', 'nothing'])
    with pytest.raises(SystemExit):
        program.main()
    assert 'no campaign nothing: see --list' in capsys.readouterr().err
