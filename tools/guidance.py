"""``mmps guidance`` in a checkout: python tools/guidance.py --help."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('guidance')
