"""``mmps analyze`` in a checkout: python tools/analyze.py --help."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('analyze')
