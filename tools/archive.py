"""The command ``mmps archive``."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('archive')
