"""``mmps test`` in a checkout: python tools/test.py --help."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('test')
