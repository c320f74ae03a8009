"""The page: what is where, and which action a click starts.

What the actions do is in ``actions.py``.
"""

from typing import NamedTuple

import gradio as gr

from mmps.datasets.pictures import SUFFIXES
from mmps.inference.scenes import VIDEOS, is_video, video_length
from mmps.visualization.canvas import read

from .actions import DRAWN, FOLDER, GALLERIES, HOW, UPLOADS, Actions
from .drawing import drawn_person
from .serve import written
from .style import DUTY, TITLE, said

#: Seconds: how often files are looked at, and how old they and the pictures
#: that are being searched with may become.
CLEAN = (600, 3600)
NOT_YET = '3. What is found is shown here.'


def make_page(
    actions: Actions, model: str, note: str | None = None
) -> gr.Blocks:
    """Build the page.

    Args:
        actions: What it does.
        model: Name of the network, to be shown.
        note: What else to say about the network.
    """
    with gr.Blocks(
        title='Person search',
        fill_width=True,
        analytics_enabled=False,
        delete_cache=CLEAN,
    ) as page:
        title = TITLE.format(model=model)
        if note:
            title = f'{title.rstrip()}. Note: {note}.'
        gr.Markdown(title, elem_id='title')
        with gr.Row():
            with gr.Column(scale=9, min_width=340):
                who = _who(actions)
                where, folder, uploads = _where(actions)
                button = gr.Button('Search', variant='primary', elem_id='go')
                how = _how()
            with gr.Column(scale=11, min_width=340):
                results = _results()
                gr.Markdown(DUTY, elem_id='duty')
        searched = gr.State(time_to_live=CLEAN[1])
        picked = _on_pick(page, who, actions)
        _on_search(
            button,
            [who.remembered, *who.numbers, where, folder, uploads, *how],
            [*results, searched],
            actions,
        )
        # what was found of somebody else is no result for whom is picked now
        for event in picked:
            event.then(
                _without_old_results,
                [who.remembered, searched],
                results,
                api_visibility='private',
                show_progress='hidden',
            )
    return page


class _Who(NamedTuple):
    """What is there to pick a person."""

    remembered: gr.State
    message: gr.HTML
    examples: gr.Gallery
    upload: gr.UploadButton
    seconds: gr.Slider
    picture: gr.Image
    numbers: list[gr.Number]
    offer: gr.Checkbox


def _who(actions: Actions) -> _Who:
    """Whom to search for."""
    remembered = gr.State(time_to_live=CLEAN[1])
    message = gr.HTML(said(HOW, False), elem_classes='say', elem_id='hint')
    with gr.Row():
        examples = gr.Gallery(
            [
                drawn_person(read(image), box, False)
                for image, box in actions.examples.queries
            ],
            show_label=False,
            columns=len(actions.examples.queries),
            height=98,
            object_fit='contain',
            format='jpeg',
            allow_preview=False,
            interactive=False,
            buttons=[],
            elem_id='who',
            scale=5,
        )
        upload = gr.UploadButton(
            'Your own picture or video',
            file_types=['image', *VIDEOS],
            size='sm',
            min_width=100,
            scale=1,
            elem_id='own',
        )
    seconds = gr.Slider(
        *(0, 1, 0),
        step=0.1,
        label='second of the video',
        visible=False,
        elem_id='second',
    )
    picture = gr.Image(
        show_label=False,
        interactive=False,
        height=300,
        buttons=[],
        elem_id='picture',
    )
    with gr.Row(elem_id='box'):
        numbers = [
            gr.Number(label=name, precision=0, min_width=60)
            for name in ('x1', 'y1', 'x2', 'y2')
        ]
        offer = gr.Checkbox(
            True, label='show people', container=False, min_width=135
        )
    return _Who(
        remembered,
        message,
        examples,
        upload,
        seconds,
        picture,
        numbers,
        offer,
    )


def _on_pick(page: gr.Blocks, who: _Who, actions: Actions) -> list:
    """What picks a person; returns the events that may pick another one."""
    remembered, offer = who.remembered, who.offer
    shown = [remembered, who.picture, *who.numbers, who.message]
    # one after the other: each goes on from what the one before remembered
    in_turn = dict(concurrency_id='pick', concurrency_limit=1)
    waits = dict(in_turn, show_progress_on=who.picture)

    def example(offer, event: gr.SelectData):
        return _shown(actions.example(event.index, offer))

    def click(query, offer, event: gr.SelectData):
        return _shown(actions.click(query, *event.index, offer))

    def typed(query, x1, y1, x2, y2, offer):
        query, picture, *_, message = _shown(
            actions.numbers(query, (x1, y1, x2, y2), offer)
        )
        return query, picture, message  # who types goes on typing

    page.load(
        lambda offer: _shown(actions.example(0, offer)),
        offer,
        shown,
        api_name='first_example',
        **waits,
    )
    chosen = who.examples.select(
        *(example, offer, shown), api_visibility='private', **waits
    )
    chosen.then(
        lambda: gr.update(visible=False),
        outputs=who.seconds,
        api_visibility='private',
        show_progress='hidden',
    )
    clicked = who.picture.select(
        click,
        [remembered, offer],
        shown,
        api_visibility='private',
        show_progress='hidden',
        trigger_mode='multiple',  # a quick second corner counts
        **in_turn,
    )
    uploaded = who.upload.upload(
        lambda query, path, offer: _shown(actions.upload(query, path, offer)),
        [remembered, who.upload, offer],
        shown,
        api_name='upload',
        **waits,
    )
    uploaded.then(
        _slider,
        *(who.upload, who.seconds),
        api_visibility='private',
        show_progress='hidden',
    )
    moved = who.seconds.release(
        lambda query, path, offer, seconds: _shown(
            actions.upload(query, path, offer, seconds)
        ),
        [remembered, who.upload, offer, who.seconds],
        shown,
        api_visibility='private',
        trigger_mode='always_last',
        **waits,
    )
    numbered = gr.on(
        [number.input for number in who.numbers],
        typed,
        [remembered, *who.numbers, offer],
        [remembered, who.picture, who.message],
        api_name='box',
        show_progress='hidden',
        trigger_mode='always_last',
        **in_turn,
    )
    offer.change(
        lambda query, offer: _shown(actions.offer(query, offer)),
        [remembered, offer],
        shown,
        api_visibility='private',
        show_progress='hidden',
        **in_turn,
    )
    return [chosen, clicked, uploaded, moved, numbered]


def _slider(path: str | None):
    """The slider for the frame of a video; an image needs none."""
    if path is None or not is_video(path):
        return gr.update(visible=False, value=0)
    # the last frame begins a little before the end
    last = max(0.1, int(10 * video_length(path)) / 10 - 0.1)
    return gr.update(visible=True, value=0, maximum=last)


def _without_old_results(query, searched) -> list:
    """Empty results, unless they are of the person who is picked."""
    if query is searched:
        return [gr.skip()] * 3
    return [said(NOT_YET, False), [], []]


def _on_search(
    button: gr.Button, inputs: list, results: list, actions: Actions
) -> None:
    """What starts a search."""

    def search(
        query,
        x1,
        y1,
        x2,
        y2,
        where,
        folder,
        uploads,
        top,
        least,
        every,
        blur,
        cameras,
        after,
        before,
        min_score,
        progress=gr.Progress(),  # noqa: B008, this is how Gradio knows it
    ):
        found = actions.search(
            query,
            (x1, y1, x2, y2),
            where,
            folder,
            uploads,
            **dict(top=top, least=least, every=every, blur=blur),
            **dict(cameras=cameras, after=after, before=before),
            min_score=min_score,
            progress=lambda pictures, total: progress.tqdm(
                pictures,
                desc='Looking for people, once',
                total=total,
                unit='pictures',
            ),
        )
        people, scenes = (
            [(written(picture), caption) for picture, caption in shown]
            for shown in (found.people, found.scenes)
        )
        return said(found.message, found.is_bad), people, scenes, query

    # the galleries lie in tabs: one of them is seen
    button.click(
        *(search, inputs, results),
        api_name='search',
        show_progress_on=results[1:3],
    )


def _where(actions: Actions) -> tuple:
    """What to search in."""
    where = gr.Radio(
        [
            (f'{len(actions.examples.gallery)} synthetic scenes', DRAWN),
            ('A folder', FOLDER),
            ('Upload images or videos', UPLOADS),
        ],
        value=DRAWN,
        label='2. Where?',
        elem_id='where',
    )
    folder = gr.Textbox(
        label='Folder, with those in it; a video file; or an archive',
        placeholder='/home/me/pictures',
        visible=False,
        elem_id='folder',
    )
    uploads = gr.File(
        label='Images, videos',
        file_count='multiple',
        file_types=[*SUFFIXES, *VIDEOS],
        height=140,
        visible=False,
    )
    where.change(
        lambda chosen: [
            gr.update(visible=chosen == kind) for kind in GALLERIES[1:]
        ],
        where,
        [folder, uploads],
        api_visibility='private',
        show_progress='hidden',
    )
    return where, folder, uploads


def _how() -> list:
    """How to search."""
    with gr.Accordion('Options', open=False):
        with gr.Row():
            top = gr.Slider(1, 50, 10, step=1, label='matches')
            least = gr.Slider(-1, 1, 0, step=0.05, label='minimum similarity')
        with gr.Row():
            every = gr.Number(
                25, label='videos: each so many frames', precision=0, minimum=1
            )
            blur = gr.Checkbox(False, label='blur everything but the matches')
        with gr.Row():
            cameras = gr.Textbox(
                label='archives: cameras', value='', placeholder='gate, hall'
            )
            after = gr.Textbox(
                label='not older than',
                value='',
                placeholder='2d or 2026-11-30',
            )
            before = gr.Textbox(
                label='older than', value='', placeholder='12h'
            )
        min_score = gr.Slider(
            *(0, 1, 0), step=0.05, label='minimum score of a detection'
        )
    return [top, least, every, blur, cameras, after, before, min_score]


def _results() -> list:
    """What was found."""
    message = gr.HTML(
        said(NOT_YET, False),
        elem_classes='say',
        elem_id='found',
    )
    looks = dict(
        show_label=False,
        interactive=False,
        buttons=['download', 'fullscreen'],
    )
    with gr.Tab('People'):
        people = gr.Gallery(
            **looks,
            columns=5,
            height=560,
            object_fit='contain',
            elem_id='people',
        )
    with gr.Tab('Whole scenes'):
        scenes = gr.Gallery(
            **looks,
            columns=2,
            height=560,
            object_fit='contain',
            elem_id='scenes',
        )
    return [message, people, scenes]


def _shown(view) -> tuple:
    """What ``View`` says, in the order of the outputs."""
    query, picture, *numbers, message, is_bad = view
    path = None if picture is None else written(picture)
    return query, path, *numbers, said(message, is_bad)
