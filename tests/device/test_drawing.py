"""Boxes and labels drawn onto images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnkit.device import drawing

GROUND = 77


def page(height, width):
    return np.full((height, width, 3), GROUND, np.uint8)


def test_a_box_is_drawn_around_its_inside():
    image = page(240, 320)
    drawn = drawing.annotate(image, [(100, 80, 140, 120)], [""], [(255, 0, 0)])
    assert (drawn[80:120, 100:140] == GROUND).all()
    red = (drawn == (255, 0, 0)).all(-1)
    assert np.flatnonzero(red.any(1))[[0, -1]].tolist() == [79, 120]
    assert np.flatnonzero(red.any(0))[[0, -1]].tolist() == [99, 140]
    assert red.sum() == 4 * 41
    assert (image == GROUND).all()


def test_lines_and_letters_scale_with_the_image():
    def spread(factor):
        box = np.array([100, 80, 140, 120]) * factor
        drawn = drawing.annotate(page(240 * factor, 320 * factor), [box], ["stop 97 %"], [(255, 0, 0)])
        changed = (drawn != GROUND).any(-1)
        column = changed[:, round(120 * factor)]
        lines = np.diff(np.flatnonzero(column[round(100 * factor) :]))
        return changed.mean(), len(lines) + 1

    small, large = spread(2), spread(8)
    assert small[0] == pytest.approx(large[0], rel=0.35)
    assert (small[1], large[1]) == (2, 8)


@pytest.mark.parametrize("shape", [(240, 320), (240, 320, 3), (240, 320, 4), (240, 320, 1)])
def test_every_kind_of_image_comes_out_as_rgb(shape):
    drawn = drawing.annotate(np.full(shape, 255, np.uint8), [(10, 60, 40, 90)], ["stop"])
    assert drawn.shape == (240, 320, 3) and drawn.dtype == np.uint8
    assert (drawn != 255).any()


def test_without_boxes_it_is_a_copy():
    image = page(10, 10)
    drawn = drawing.annotate(image, np.zeros((0, 4)), [])
    assert np.array_equal(drawn, image) and not np.shares_memory(drawn, image)


def plate(image, box, text, paint=(255, 0, 0)):
    """Return where a label's plate is: left, top, right, bottom of what differs from the same without the text."""
    with_text = drawing.annotate(image, [box], [text], [paint])
    without = drawing.annotate(image, [box], [""], [paint])
    rows, columns = np.nonzero((with_text != without).any(-1))
    return columns.min(), rows.min(), columns.max(), rows.max()


@pytest.mark.parametrize(
    "box", [(0, 0, 20, 20), (300, 0, 320, 20), (0, 220, 20, 240), (300, 220, 320, 240), (150, 110, 170, 130)]
)
def test_a_label_stays_inside_the_image_and_off_its_box(box):
    left, top, right, bottom = plate(page(240, 320), box, "priority road 97 %")
    assert left >= 0 and top >= 0 and right < 320 and bottom < 240
    assert bottom - top + 1 >= 10 and right - left > 60  # all of it: not cut off at the edge
    assert bottom < box[1] or top >= box[3]


def test_labels_of_neighbours_do_not_cover_each_other():
    boxes = [(100, 100, 130, 130), (134, 100, 164, 130), (168, 100, 198, 130)]
    reds = [(250, 0, 0), (251, 0, 0), (252, 0, 0)]
    together = drawing.annotate(page(240, 320), boxes, ["no overtaking"] * 3, reds)
    for box, red in zip(boxes, reds):
        alone = drawing.annotate(page(240, 320), [box], ["no overtaking"], [red])
        count = [(image == red).all(-1).sum() for image in (together, alone)]
        assert count[0] >= 0.97 * count[1]


def test_a_text_wider_than_the_image_is_cut_with_dots():
    left, _, right, _ = plate(page(60, 80), (30, 40, 40, 50), "a label that is far too long for this image")
    assert left >= 0 and right < 80
    assert drawing._shortened("a label that is far too long", 9, 60).endswith("...")
    assert drawing._shortened("stop", 9, 60) == "stop"


def test_letters_are_dark_on_light_and_light_on_dark():
    for paint, letters in (((240, 228, 66), 0), ((0, 0, 120), 255)):
        drawn = drawing.annotate(page(240, 320), [(100, 100, 140, 140)], ["MMMM"], [paint])
        assert (drawn == letters).all(-1).any()


def test_letters_outside_of_ascii_are_drawn(monkeypatch):
    boxes, texts = [(100, 100, 140, 140)], ["Überholverbot 3,5 t"]
    assert (drawing.annotate(page(240, 320), boxes, texts) != GROUND).any()
    monkeypatch.setattr(drawing, "_font", lambda: None)  # as OpenCV 4 has it
    drawing.line_width.cache_clear()
    old = drawing.annotate(page(240, 320), boxes, texts)
    assert np.array_equal(old, drawing.annotate(page(240, 320), boxes, ["Uberholverbot 3,5 t"]))
    drawing.line_width.cache_clear()


def test_colours_repeat_and_lengths_must_agree():
    assert drawing.colour(0) == drawing.colour(len(drawing.COLOURS)) != drawing.colour(1)
    with pytest.raises(ValueError, match="one length"):
        drawing.annotate(page(10, 10), [(0, 0, 1, 1)], [])


@settings(max_examples=40)
@given(
    st.integers(1, 90), st.integers(1, 90), st.lists(st.tuples(*[st.floats(-200, 200)] * 4), max_size=4),
    st.text(max_size=20),
)  # fmt: skip
def test_anything_can_be_drawn(height, width, boxes, text):
    drawn = drawing.annotate(page(height, width), boxes, [text] * len(boxes))
    assert drawn.shape == (height, width, 3)
