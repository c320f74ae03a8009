"""``mmps results-table`` in a checkout: python tools/results_table.py --help."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('results-table')
