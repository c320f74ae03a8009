"""The page as a person uses it, in a browser without a window."""

import shutil
from contextlib import contextmanager

import cv2
import pytest

from mmps.demo.actions import Actions
from mmps.demo.searcher import Searcher
from mmps.synthetic.walk import write_walk

from .pages import served

# Gradio runs in threads of this process, and its warnings are not ours
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings('ignore')]

BROWSER = next(filter(None, map(shutil.which, ('chromium', 'chrome'))), None)
FLAGS = (
    *('--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'),
    *('--disable-background-networking', '--disable-component-update'),
    '--disable-sync',
)


#: Whether there is a whole picture to click on, another one than before.
DRAWN = """before => {
    const shown = document.querySelector('#picture img')
    return shown?.complete && shown.naturalWidth &&
        shown.getAttribute('src') != before
}"""


@pytest.fixture(scope='module')
def url(inferencer, examples):
    with served(Actions(Searcher(inferencer), examples)) as page:
        yield page.local_url


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    """One that loads nothing but what it is told to."""
    if BROWSER is None:
        pytest.skip('needs chromium: apt-get install chromium')
    playwright = pytest.importorskip(
        'playwright.sync_api', reason='needs playwright, requirements-dev.txt'
    )
    with playwright.sync_playwright() as started:
        context = started.chromium.launch_persistent_context(
            tmp_path_factory.mktemp('profile'),
            executable_path=BROWSER,
            headless=True,
            args=FLAGS,
            viewport=dict(width=1280, height=800),
        )
        yield context
        context.close()


@pytest.fixture
def page(browser, url):
    """The page, opened; complaints and foreign requests fail the test."""
    wrong, asked = [], []
    page = browser.new_page()
    page.on(
        'console',
        lambda message: (
            message.type in ('error', 'warning') and wrong.append(message.text)
        ),
    )
    page.on('pageerror', lambda error: wrong.append(str(error)))
    page.on('request', lambda request: asked.append(request.url))
    page.goto(url)
    page.wait_for_function(DRAWN, arg=None)
    yield page
    page.close()
    assert not wrong
    assert any(address.startswith(url) for address in asked)
    assert [
        address
        for address in asked
        if not address.startswith((url, 'data:', 'blob:'))
    ] == []


@contextmanager
def redrawn(page):
    """Do something, and wait for the picture that comes of it."""
    before = page.locator('#picture img').get_attribute('src')
    yield
    page.wait_for_function(DRAWN, arg=before)


def box_of(page):
    """The numbers on the page, once there are some."""
    fields = [page.get_by_label(name) for name in ('x1', 'y1', 'x2', 'y2')]
    return [float(field.input_value() or 'nan') for field in fields]


def click(page, x, y):
    """Click on a point of the picture, in its original pixels."""
    shown = page.locator('#picture img').bounding_box()
    scale = shown['width'] / 320
    assert abs(shown['height'] / 240 - scale) < 0.01
    page.mouse.click(shown['x'] + x * scale, shown['y'] + y * scale)


def wait_for(page, selector, text):
    page.locator(selector, has_text=text).wait_for()


def test_a_person_is_clicked_on_and_found(page, inferencer, examples):
    with redrawn(page):
        page.locator('#who .thumbnail-item').nth(1).click()
    expected = [round(value) for value in examples.queries[1].box]
    page.wait_for_function(
        'x => document.querySelector("#box input").value == x', arg=expected[0]
    )
    assert box_of(page) == expected
    query = Searcher(inferencer).query(examples.queries[1].image)
    x1, y1, x2, y2 = query.people[0].tolist()
    middle = (x1 + x2) / 2, (y1 + y2) / 2
    person = [round(value) for value in query.clicked(*middle).box]
    assert person != expected
    with redrawn(page):
        click(page, *middle)
    page.wait_for_function(
        'x => document.querySelector("#box input").value == x', arg=person[0]
    )
    assert box_of(page) == person
    page.locator('#go').click()
    wait_for(page, '#found', 'people in 8 pictures')
    box = query.clicked(*middle).box
    matches = inferencer.search(query.picture, box, examples.gallery, top=10)
    page.locator('#people .thumbnail-item').nth(9).wait_for()
    shown = page.locator('#people .caption-label').all_inner_texts()
    assert len(shown) == 10
    for rank, (match, caption) in enumerate(zip(matches, shown, strict=True)):
        assert caption.startswith(f'{rank + 1}. ')
        assert f'similarity {match.similarity:.2f}' in caption
        assert f'detection {match.score:.2f}' in caption
    page.get_by_role('tab', name='Whole scenes').click()
    page.locator('#scenes .thumbnail-item').nth(9).wait_for()


def test_old_results_go_when_somebody_else_is_picked(page, examples):
    page.locator('#go').click()
    page.locator('#people .thumbnail-item').first.wait_for()
    with redrawn(page):
        page.get_by_label('show people').click()
    assert page.locator('#people .thumbnail-item').count()  # the same person
    page.locator('#own').locator('xpath=..').locator(
        'input[type=file]'
    ).set_input_files(examples.gallery[0])
    wait_for(page, '#found', 'What is found is shown here')
    page.wait_for_function(
        '() => !document.querySelector("#people .thumbnail-item")'
    )


def test_a_frame_of_a_video_is_chosen(page, tmp_path):
    path = tmp_path / 'walk.mp4'
    write_walk(path, seconds=1, rate=5, size=(320, 240))
    with redrawn(page):
        page.locator('#own').locator('xpath=..').locator(
            'input[type=file]'
        ).set_input_files(path)
    slider = page.locator('#second input[type=range]')
    slider.wait_for()
    with redrawn(page):
        slider.focus()
        page.keyboard.press('End')
        slider.dispatch_event('pointerup')
    assert slider.input_value() == '0.9'
    with redrawn(page):
        page.locator('#who .thumbnail-item').first.click()
    slider.wait_for(state='hidden')


def test_a_narrow_screen_shows_everything(page):
    page.set_viewport_size(dict(width=420, height=900))
    box = page.locator('#box').bounding_box()
    label = page.get_by_text('show people').bounding_box()
    assert label['x'] + label['width'] <= box['x'] + box['width']
    for name in ('x1', 'y1', 'x2', 'y2'):
        assert page.get_by_label(name).bounding_box()['width'] >= 40
    wide = page.evaluate('document.documentElement.scrollWidth')
    page.set_viewport_size(dict(width=1280, height=800))
    assert wide <= 420


def test_a_box_is_drawn_with_two_clicks(page):
    with redrawn(page):
        page.get_by_label('show people').click()
    with redrawn(page):
        click(page, 200, 60)
    wait_for(page, '#hint', 'opposite corner')
    with redrawn(page):
        click(page, 120, 180)
    wait_for(page, '#hint', 'Picked')
    for is_, meant in zip(box_of(page), (120, 60, 200, 180), strict=True):
        assert abs(is_ - meant) <= 2  # a pixel of the screen, and rounding
    page.locator('#go').click()
    page.locator('#people .thumbnail-item').first.wait_for()


def test_bad_input_is_said_and_can_be_mended(page, examples, tmp_path):
    wrong = tmp_path / 'wrong.png'
    wrong.write_text('no image')
    page.locator('#own').locator('xpath=..').locator(
        'input[type=file]'
    ).set_input_files(wrong)
    wait_for(page, '#hint .bad', 'wrong.png is no image')
    page.get_by_label('x2').fill('99999')
    page.get_by_label('x1').fill('99990')
    wait_for(page, '#hint .bad', 'inside the picture')
    page.locator('#who .thumbnail-item').first.click()
    wait_for(page, '#hint .good', 'Picked')
    page.get_by_text('A folder', exact=True).click()
    page.locator('#folder textarea, #folder input').fill('/no/such/folder')
    page.locator('#go').click()
    wait_for(page, '#found .bad', '/no/such/folder: no such file')
    folder = tmp_path / 'mine'
    folder.mkdir()
    picture = cv2.imread(examples.gallery[0])
    cv2.imwrite(str(folder / 'one.png'), picture)
    page.locator('#folder textarea, #folder input').fill(str(folder))
    page.locator('#go').click()
    wait_for(page, '#found .good', 'in 1 pictures')
    assert (
        'one.png' in page.locator('#people .caption-label').first.inner_text()
    )
