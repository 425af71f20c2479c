"""Following objects through the frames of a video, so that one object seen in many frames is one object.

Design choices:
- As in SORT (Bewley et al. 2016, "Simple online and realtime tracking", arXiv:1602.00763) a track predicts where its box is
  next and takes the box that lies there. An alpha-beta filter of centre and logarithmic size stands in for its Kalman
  filter: what one drives towards grows by a share of its size each frame, and there is no covariance to tune.
- Boxes of small, fast objects do not overlap from frame to frame. So besides intersection over union there is a gate of the
  distance of centres, in sides of the box; a track seen only once knows no speed, and its gate is wide.
- Pairs are taken greedily, the best first: SORT's Hungarian matching differs only where several objects contend.
- As in ByteTrack (Zhang et al. 2022, arXiv:2110.06864) boxes with a low score may continue a track and never start one.
- The label is a vote over the whole track, weighted by score: what is far away is often misread, and near once more seen well.
  A box never goes to a track by its label alone, since labels flip while the object is small.
"""

from dataclasses import dataclass, field

import numpy as np

from cnnkit.device.detection import Detections, ious

ALPHA, BETA = 0.8, 0.4  # of the filter: shares of the error that position and speed take over; boxes are exact, so high
GROWTH = 0.3  # most that the logarithm of a size changes in a frame
NEAR = 2.0  # sides of the box: a centre so far from its prediction may still be it; with 1 a shaking camera loses small objects
FIRST_NEAR = 2.5  # the same while the speed is not known
LIKE = 0.9  # most that the logarithm of the side differs from its prediction: a factor of 2.5
SAME = 0.7  # intersection over union from which a box is an object that already has a better one in this frame
AGREE = 0.1  # what a box with the label of a track has before one without; never enough to pair them


@dataclass
class Track:
    """One object, seen in one or more frames.

    Attributes:
        id: from 1, in the order of first sight.
        code: class with the most votes.
        score: best score of a box with or without that class.
        first, last: first and last frame in which it was seen.
        frame, box: the last frame with the best score, and the box there: float32 (4,), left, top, right, bottom, px.
        hits: frames in which it was seen.
        votes: float (classes,), sums of scores over the track.
        extra: float (m,), sums of what else boxes voted on; empty where they did not.
    """

    id: int
    code: int
    score: float
    first: int
    last: int
    frame: int
    box: np.ndarray
    hits: int = 1
    votes: np.ndarray = field(default_factory=lambda: np.zeros(0))
    extra: np.ndarray = field(default_factory=lambda: np.zeros(0))
    # centre x, centre y, logarithm of width and height, at `last`; and what they change by in a frame
    _state: np.ndarray = field(default_factory=lambda: np.zeros(4), repr=False)
    _speed: np.ndarray = field(default_factory=lambda: np.zeros(4), repr=False)
    _missed: int = 0  # updates in a row

    def predicted(self, frame: int) -> np.ndarray:
        """Return where the object should be in a later frame: centre x, centre y, logarithm of width and height."""
        return self._state + self._speed * (frame - self.last)


class Tracker:
    """Gives the boxes of frame after frame the numbers of the objects they belong to.

    Args:
        iou: intersection over union from which a box is where its track predicted it.
        patience: frames for which a track that counts may be out of sight; one that does not count yet may miss one update.
        hits: frames in which an object is seen before it counts.
        start: score from which a box may start a track.

    Example:
        tracker = Tracker()
        for frame, image in enumerate(images):
            ids = tracker.update(find(model, image, plan), frame)
        found = tracker.tracks()
    """

    def __init__(self, iou: float = 0.3, patience: int = 15, hits: int = 3, start: float = 0.0):
        if not 0 < iou <= 1 or patience < 0 or hits < 1:
            raise ValueError(
                f"`iou` needs to be in (0, 1], `patience` at least 0, `hits` at least 1. Received: {iou}, {patience}, {hits}."
            )
        self.iou, self.patience, self.hits, self.start = iou, patience, hits, start
        self._live: list[Track] = []
        self._done: list[Track] = []
        self._count = 0
        self._frame: int | None = None

    def update(self, detections: Detections, frame: int, extra: np.ndarray | None = None) -> np.ndarray:
        """Take the boxes of the next frame.

        Args:
            detections: boxes (k, 4), scores (k,), codes (k,) of a frame.
            frame: its number, larger than the last one's; numbers may be left out.
            extra: float (k, m) >= 0, what else the boxes vote on: weighted scores of a recogniser, say.

        Returns:
            int (k,): the track of each box, from 1; -1 where it has none, as its score is below `start`.
        """
        if self._frame is not None and frame <= self._frame:
            raise ValueError(f"`frame` needs to be larger than {self._frame}, the last one. Received: {frame}.")
        self._frame = frame
        self._done += [track for track in self._live if self._counts(track) and self._lost(track, frame)]
        self._live = [track for track in self._live if not self._lost(track, frame)]
        boxes, scores, codes = (np.asarray(part) for part in detections)
        boxes = boxes.astype(np.float64).reshape(-1, 4)
        extra = np.zeros((len(boxes), 0)) if extra is None else extra
        ids = np.full(len(boxes), -1, np.int64)
        high = scores >= self.start
        free = list(self._live)
        for chosen in (np.flatnonzero(high), np.flatnonzero(~high)):
            tracks = free
            for t, d in self._pairs(tracks, boxes[chosen], codes[chosen], frame):
                box = chosen[d]
                self._continue(tracks[t], boxes[box], float(scores[box]), frame)
                _vote(tracks[t], int(codes[box]), float(scores[box]), extra[box])
                ids[box] = tracks[t].id
            free = [track for track in tracks if track.last != frame]
        by_id = {track.id: track for track in self._live}
        for box in [int(k) for k in np.argsort(-scores, kind="stable") if ids[k] < 0]:
            taken = np.flatnonzero(ids >= 0)
            over = ious(boxes[box][None], boxes[taken])[0] if len(taken) else np.zeros(0)
            if over.max(initial=0) > SAME:  # the same object under another name: it votes, and starts nothing
                ids[box] = ids[taken[int(over.argmax())]]
                _vote(by_id[int(ids[box])], int(codes[box]), float(scores[box]), extra[box])
            elif high[box]:
                self._count += 1
                track = Track(
                    id=self._count,
                    code=int(codes[box]),
                    score=float(scores[box]),
                    first=frame,
                    last=frame,
                    frame=frame,
                    box=boxes[box].astype(np.float32),
                    _state=_measured(boxes[box]),
                )
                _vote(track, int(codes[box]), float(scores[box]), extra[box])
                self._live.append(track)
                by_id[track.id] = track
                ids[box] = track.id
        for track in self._live:
            track._missed = 0 if track.last == frame else track._missed + 1
        return ids

    def tracks(self) -> list[Track]:
        """Return the objects seen so far in at least `hits` frames, in the order of first sight."""
        return sorted((track for track in self._done + self._live if self._counts(track)), key=lambda track: track.id)

    def current(self) -> dict[int, Track]:
        """Return those of them that the last frame showed or that may come back, by id."""
        return {track.id: track for track in self._live if self._counts(track)}

    def _counts(self, track: Track) -> bool:
        return track.hits >= self.hits

    def _lost(self, track: Track, frame: int) -> bool:
        """Whether it was out of sight for too long to be matched in this frame."""
        if not self._counts(track):
            return track._missed > 1
        return track._missed > 0 and frame - track.last - 1 > self.patience

    def _pairs(self, tracks: list[Track], boxes: np.ndarray, codes: np.ndarray, frame: int) -> list[tuple[int, int]]:
        """Pair tracks with boxes, greedily: what overlaps first, then what is near."""
        if not tracks or not len(boxes):
            return []
        expected = np.stack([track.predicted(frame) for track in tracks])
        seen = np.stack([_measured(box) for box in boxes])
        half = np.exp(expected[:, 2:]) / 2
        overlap = ious(np.concatenate([expected[:, :2] - half, expected[:, :2] + half], 1), boxes)
        side = (expected[:, None, 2:].mean(-1) + seen[None, :, 2:].mean(-1)) / 2  # logarithm of the mean side
        apart = np.linalg.norm(expected[:, None, :2] - seen[None, :, :2], axis=-1) / np.exp(side)
        # a prediction gets worse with time
        waited = np.array([np.sqrt(max(1, frame - track.last)) for track in tracks])
        gate = np.where([track.hits == 1 for track in tracks], FIRST_NEAR, NEAR) * waited
        unlike = np.abs(expected[:, None, 2:].mean(-1) - seen[None, :, 2:].mean(-1))
        near = (apart < gate[:, None]) & (unlike < LIKE)
        agree = np.array([track.code for track in tracks])[:, None] == codes[None]
        worth = np.where(overlap >= self.iou, 2 + overlap, 1 - apart / gate[:, None])
        worth = np.where((overlap >= self.iou) | near, worth + AGREE * agree, -1)
        found = []
        for _ in range(min(worth.shape)):
            t, d = np.unravel_index(int(worth.argmax()), worth.shape)
            if worth[t, d] < 0:
                break
            found.append((int(t), int(d)))
            worth[t], worth[:, d] = -1, -1
        return found

    def _continue(self, track: Track, box: np.ndarray, score: float, frame: int) -> None:
        passed = frame - track.last
        seen, expected = _measured(box), track.predicted(frame)
        if track.hits == 1:  # two sights: the first speed
            track._state, track._speed = seen, (seen - track._state) / passed
        else:
            track._state = expected + ALPHA * (seen - expected)
            track._speed = track._speed + BETA * (seen - expected) / passed
        track._speed[2:] = np.clip(track._speed[2:], -GROWTH, GROWTH)
        track.last = frame
        track.hits += 1
        if score >= track.score:  # of equals the last: mostly the nearest
            track.score, track.frame, track.box = score, frame, box.astype(np.float32)


def _measured(box: np.ndarray) -> np.ndarray:
    """Return centre x, centre y, logarithm of width and height of a box."""
    size = np.maximum(box[2:] - box[:2], 1e-3)
    return np.concatenate([(box[:2] + box[2:]) / 2, np.log(size)])


def _vote(track: Track, code: int, score: float, extra: np.ndarray) -> None:
    if code >= len(track.votes):
        track.votes = np.pad(track.votes, (0, code + 1 - len(track.votes)))
    track.votes[code] += score
    if len(extra) > len(track.extra):
        track.extra = np.pad(track.extra, (0, len(extra) - len(track.extra)))
    track.extra[: len(extra)] += extra
    track.code = int(track.votes.argmax())
