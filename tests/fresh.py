"""Run programs that mmengine, mmdet and mmps are new to.

Importing torch takes seconds. One process does, and forks for each program:
an interpreter with torch and what else takes its time, and nothing of ours or
of OpenMMLab. Programs that must not see torch need one of their own.
"""

import atexit
import functools
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SERVER = """
import json, os, sys, tempfile, traceback
import cv2, matplotlib.pyplot, pycocotools.mask, rich, scipy.optimize, yapf
import torch, torch._dynamo, torch.distributed.optim

ours = {'mmengine', 'mmcv', 'mmdet', 'mmps'}
assert not ours & {name.split('.')[0] for name in sys.modules}
print('ready', flush=True)
for line in sys.stdin:
    files = [tempfile.TemporaryFile() for _ in range(2)]
    child = os.fork()
    if not child:
        for number, file in enumerate(files, 1):
            os.dup2(file.fileno(), number)
        code = 0
        try:
            exec(json.loads(line), {'__name__': '__main__'})
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    _, status = os.waitpid(child, 0)
    texts = []
    for file in files:
        file.seek(0)
        texts.append(file.read().decode())
    answer = [os.waitstatus_to_exitcode(status), *texts]
    print(json.dumps(answer), flush=True)
"""


def run_fresh(program: str) -> tuple[int, str, str]:
    """Return exit code, output and errors of a program."""
    server = _server()
    server.stdin.write(json.dumps(program) + '\n')
    server.stdin.flush()
    return tuple(json.loads(server.stdout.readline()))


@functools.cache
def _server() -> subprocess.Popen:
    server = subprocess.Popen(
        [sys.executable, '-c', SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    atexit.register(server.wait)
    atexit.register(server.stdin.close)
    assert server.stdout.readline() == 'ready\n'
    return server
