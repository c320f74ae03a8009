"""``mmps compare`` in a checkout: python tools/compare.py --help."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('compare')
