"""``mmps compare-runs`` in a checkout: python tools/compare_runs.py --help."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('compare-runs')
