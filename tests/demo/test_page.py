"""The page as a program uses it, and what its server refuses."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import pytest
import requests

from mmps.demo.actions import DRAWN, UPLOADS, Actions
from mmps.demo.searcher import Searcher

from .pages import served

# Gradio runs in threads of this process, and its warnings are not ours
pytestmark = pytest.mark.filterwarnings('ignore')

NONE = (None,) * 4
OPTIONS = (4, -1, 1, False)


@pytest.fixture(scope='module')
def url(inferencer, examples):
    with served(Actions(Searcher(inferencer), examples)) as page:
        yield page.local_url


@pytest.fixture
def client(url, tmp_path):
    from gradio_client import Client

    return Client(url, verbose=False, download_files=str(tmp_path))


def upload(client, path):
    from gradio_client import handle_file

    return client.predict(handle_file(str(path)), True, api_name='/upload')


def search(client, numbers=NONE, where=DRAWN, uploads=None):
    return client.predict(
        *(*numbers, where, '', uploads, *OPTIONS), api_name='/search'
    )


def said(html):
    return re.sub('<.*?>', '', html)


def captions(gallery):
    return [entry['caption'] for entry in gallery]


def test_a_program_can_search(client, inferencer, examples):
    picture, *box, message = client.predict(True, api_name='/first_example')
    assert cv2.imread(picture).shape == (720, 960, 3)
    assert tuple(box) == examples.queries[0].box
    assert 'Picked' in message
    message, people, scenes = search(client, box)
    matches = inferencer.search(*examples.queries[0], examples.gallery, top=4)
    assert 'class="good"' in message
    for entry, line in zip(matches, captions(scenes), strict=True):
        assert f'similarity {entry.similarity:.2f}' in line
        assert Path(entry.source.image).name in line
    assert [line.split('\n') for line in captions(people)] == [
        line.split(' · ') for line in captions(scenes)
    ]
    assert cv2.imread(scenes[0]['image']).shape == (720, 960, 3)


def test_own_pictures(client, examples):
    from gradio_client import handle_file

    _, *box, message = upload(client, examples.queries[1].image)
    assert box == [None] * 4
    assert 'Click a person' in message
    typed = client.predict(*(90, 80, 20, 10), True, api_name='/box')
    assert 'Picked' in typed[-1]
    gallery = [handle_file(path) for path in examples.gallery[:2]]
    message, people, _ = search(
        client, (90, 80, 20, 10), where=UPLOADS, uploads=gallery
    )
    assert 'in 2 pictures' in message
    names = {Path(path).name for path in examples.gallery[:2]}
    assert {line.split('\n')[-1] for line in captions(people)} <= names


def test_bad_input_is_a_message(client, examples, tmp_path):
    from gradio_client import handle_file

    def is_bad(html, message):
        return 'class="bad"' in html and message in said(html)

    assert is_bad(search(client)[0], 'there is no picture yet')
    wrong = tmp_path / '<b>wrong.png'
    wrong.write_text('no image')
    message = upload(client, wrong)[-1]
    assert is_bad(message, 'wrong.png is no image')
    assert '<b>' not in message
    upload(client, examples.queries[0].image)
    assert is_bad(search(client)[0], 'nobody is picked yet')
    beyond = (900, 900, 990, 990)
    assert is_bad(search(client, beyond)[0], 'inside the picture')
    box = (10, 10, 60, 90)
    assert is_bad(search(client, box, where=UPLOADS)[0], 'gallery is empty')
    message, *rest = search(
        client, box, where=UPLOADS, uploads=[handle_file(str(wrong))]
    )
    assert is_bad(message, 'wrong.png')
    assert rest == [[], []]
    assert not is_bad(search(client, box)[0], '')  # it goes on


def test_users_do_not_see_each_other(url, examples, tmp_path):
    from gradio_client import Client

    clients = [
        Client(url, verbose=False, download_files=str(tmp_path / str(n)))
        for n in range(2)
    ]

    def run(number):
        found = []
        for _ in range(3):
            upload(clients[number], examples.queries[number].image)
            box = examples.queries[number].box
            found.append(captions(search(clients[number], box)[1]))
        return found

    with ThreadPoolExecutor() as pool:
        first, second = pool.map(run, range(2))
    assert first == [first[0]] * 3
    assert second == [second[0]] * 3
    assert first != second


def test_only_this_computer_is_served(url):
    assert url.startswith('http://127.0.0.1:')
    answer = requests.get(url, timeout=60)
    assert answer.status_code == 200
    assert "default-src 'self'" in answer.headers['content-security-policy']
    # as a page elsewhere would ask whose name was made to point here
    rebound = requests.get(url, headers={'Host': 'evil.example'}, timeout=60)
    assert rebound.status_code == 400


@pytest.mark.parametrize('file', ['/etc/passwd', 'setup.py', 'README.md'])
def test_other_files_are_not_served(url, file):
    path = Path(file).absolute()
    answer = requests.get(f'{url}gradio_api/file={path}', timeout=60)
    assert answer.status_code == 403


def test_nothing_is_told_or_kept(url):
    config = requests.get(f'{url}config', timeout=60).json()
    assert config['analytics_enabled'] is False
    assert config['run_history'] is False
