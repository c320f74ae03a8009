"""``mmps zoo`` in a checkout: python tools/zoo.py --help."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('zoo')
