"""The command ``mmps compare``."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('compare')
