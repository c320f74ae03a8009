"""``mmps search`` in a checkout: python demo/search.py --help."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('search')
