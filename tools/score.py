"""The command ``mmps score``."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('score')
