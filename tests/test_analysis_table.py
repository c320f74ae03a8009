from mmps.analysis import Analysis, Count
from mmps.analysis_table import table


def test_percentages_are_of_the_first():
    parameters = {'all': Count(2_000_000, 1_000_000)}
    first = Analysis(parameters, {}, {'all': 4_000_000_000}, 300, {'ms': 20})
    second = Analysis(
        {'all': Count(1_000_000), 'backbone': Count(500_000)},
        {'queue': 10_000},
        {'all': 3_000_000_000},
        100,
        pairs=True,
    )
    lines = [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in table({'a': first, 'b': second}, (60, 80)).splitlines()
    ]
    cells = {line[0]: line[1:] for line in lines}
    assert lines[0] == ['', 'a', 'b, pair']
    assert cells['parameters, M'] == ['3.000', '1.000 (33 %)']
    assert cells['- frozen'] == ['1.000', '-']
    assert cells['- in backbone'] == ['-', '0.500']
    assert cells['not learnt: queue, M'] == ['-', '0.010']
    assert cells['parameters and all of these, M'] == [
        *('3.000', '1.010 (34 %)'),
    ]
    assert cells['GMACs, 80 x 60'] == ['4.00', '3.00 (75 %)']
    assert cells['RoIs'] == ['300', '100 (33 %)']
    assert cells['ms, 80 x 60'] == ['20', '-']
    assert not any(name.startswith('CPU') for name in cells)
