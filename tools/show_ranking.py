"""``mmps ranking`` in a checkout: python tools/show_ranking.py --help."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('ranking')
