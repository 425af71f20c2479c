"""`predict` for a detector: where things are in images, videos and what a camera sees, and which.

Design choices:
- Every image and every frame of a video has an entry, in order, with or without boxes; of a camera, which has no end, only
  frames with boxes have one. Frames count from 0.
- In videos objects are followed (`cnnkit.device.tracking`), and people read a line for each object, not for each box. Boxes
  of half the threshold, as the network learnt scores, may keep a track alive and are not shown.
- With a recogniser the detector only says where: each box, a little enlarged, is cut from the full-resolution image and
  classified. In videos the name is a vote over all frames, weighted by the detector's score.
- What is wrong with options and inputs is said before any work. A video that ends early is a warning; what stops the work
  halfway leaves the results up to there. Whoever asks a camera for no more answers has ended it, as Ctrl-C does.
"""

import contextlib
import functools
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cnnkit import files, opening, own_files
from cnnkit.device import drawing
from cnnkit.device.detection import IOU, Detections, Plan, find_each
from cnnkit.device.detection import find as find_objects
from cnnkit.device.image import ImageNotFound, fit_image, read_image
from cnnkit.device.tracking import Track, Tracker
from cnnkit.errors import ArtifactError, CnnkitError, DataError
from cnnkit.evaluation.calibration import as_claimed, as_learnt
from cnnkit.files import printable
from cnnkit.inputs.image.named import IMAGES
from cnnkit.inputs.image.videos import VIDEOS, Video, VideoWriter
from cnnkit.reporter import SILENT, Reporter
from cnnkit.shown import Answers, Shown, Table
from cnnkit.tasks.detection.results import writer

MARGIN = 0.15  # of a box's sides, added on each side before it is recognised: data sets of cut-out objects have some
LOW = 0.5  # of the threshold: from there a box may continue a track
LOST = 0.6  # seconds that an object may be out of sight and still be the same
HITS = 3  # frames in which an object is seen before it counts; two where a video has few frames a second
FEW = 12.0  # frames a second
# Lines of one pixel keep their colour only where JPEG does not halve it.
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 92, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
STDIN = "standard-input"


@dataclass
class _Job:
    """What stays the same from input to input, and what has been found so far."""

    model: Any
    plan: Plan
    recogniser: Any
    threshold: float
    iou: float
    top: int
    track: bool
    limit_frames: int | None
    tell: Reporter
    entries: list[dict[str, Any]] = field(default_factory=list)
    tracks: list[dict[str, Any]] = field(default_factory=list)
    videos: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names that boxes end up with."""
        return tuple((self.recogniser or self.model).labels)

    def document(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        frames = sum(video["frames"] for video in self.videos)
        busy, wall = (sum(video[key] for video in self.videos) for key in ("busy", "wall"))
        rates = {"inference": _rate(frames, busy), "end_to_end": _rate(frames, wall)}
        return {
            "artifact": str(self.model.path),
            **({"recogniser": str(self.recogniser.path)} if self.recogniser is not None else {}),
            "threshold": self.threshold,
            "predictions": self.entries,
            "skipped": self.skipped,
            "warnings": self.warnings,
            "tracks": self.tracks,
            "frames_per_second": rates if frames else None,
        }


class Found(Answers):
    """What is found, image by image and frame by frame: `input`, `width`, `height`, `boxes`, and of a frame `frame` and `time`.

    A box of a video says which `track` it is of; that is taken out of it again where the track turns out to be too short to
    count.
    """

    def __init__(
        self, answers: Generator[dict[str, Any], None, None], job: _Job, out: Path | None, results: Path | None
    ):
        super().__init__(answers)
        self._job, self._out, self._results = job, out, results

    def document(self) -> dict[str, Any]:
        """Return what was found in all images and videos that are through, as `--json` prints it at the end."""
        return self._job.document()

    def shown(self) -> Shown:
        deque(self._answers, maxlen=0)  # with nothing of ours in between, Ctrl-C reaches what has to end well
        return Shown(self.document(), _told(self._job, self._out, self._results))


def find(
    app: str,
    artifact: Path,
    inputs: Sequence[Path],
    *,
    out: Path | None = None,
    results: Path | None = None,
    threshold: float | None = None,
    iou: float = IOU,
    recogniser: Path | None = None,
    track: bool | None = None,
    camera: int | str | None = None,
    top: int = 1,
    skip_bad: bool = False,
    threads: int | None = None,
    limit_frames: int | None = None,
    tell: Reporter = SILENT,
) -> Found:
    """Find what is in images and videos, as it is asked for.

    Args:
        app: whose models.
        artifact: the detector.
        inputs: images, videos, folders of both, - for an image on standard input.
        out: folder of copies with the boxes drawn in.
        results: file of what was found, written at the end: .json, .csv or .coco.json.
        threshold: score from which a box is shown, in [0, 1]; None: the model's own, chosen on validation data.
        iou: intersection over union above which two boxes are one object.
        recogniser: a classifier that names what each box holds.
        track: follow objects through videos; None: yes.
        camera: number of a camera, or the address of a stream, read until Ctrl-C or `limit_frames`; after all inputs.
        top: names to give of each box, where there is a recogniser.
        skip_bad: go on without inputs that cannot be read.
        threads: of the interpreters.
        limit_frames: most frames to read of each video or camera.
        tell: hears of progress, of what a camera sees, and of warnings.

    Raises:
        DataError: there is no input, `results` has an unknown suffix, or later, an input cannot be read.
        ArtifactError: the artifact is no detector, or the recogniser no classifier.
        CnnkitError: something cannot be written.
    """
    write = writer(results) if results else None
    if out is not None and out.exists() and not out.is_dir():
        raise DataError(f"`out={out}` is a file; a folder is needed for the copies. Choose another.")
    paths = [Path(entry) for entry in inputs]
    if not paths and camera is None:
        raise DataError(
            "There is nothing to predict. Give images, videos, folders, - for an image on standard input, or `camera=0`."
        )
    sources = list(_sources(paths, out))
    if not skip_bad:
        for path, _ in sources:
            if path != Path("-") and not path.exists():
                raise ImageNotFound(str(path), "there is no such file", "Check the path.")
    targets = _targets(sources, out) if out is not None else [None] * len(sources)
    copies = [file for target in targets if target is not None for file in _files_of(target)]
    own_files.check(copies)
    own_files.check([results] if results is not None else [], "results")
    model = opening.open_model(artifact, app, threads, tell)
    plan = _plan(model, app)
    job = _Job(
        model=model,
        plan=plan,
        recogniser=_recogniser(recogniser, app, threads, tell) if recogniser is not None else None,
        threshold=plan.threshold if threshold is None else threshold,
        iou=iou,
        top=top,
        track=track is not False,
        limit_frames=limit_frames,
        tell=tell,
    )
    # hours of work would be lost if it turned out at their end
    new = files.make_folders(out, None if results is None else results.parent)
    work = _every(job, sources, targets, camera, out, skip_bad)
    work = work if results is None or write is None else _written(job, work, results, write)
    return Found(files.none_empty(work, new), job, out, results)


def answered(
    model: Any, images: Sequence[np.ndarray], *, threshold: float | None = None, iou: float = IOU
) -> Iterator[dict[str, Any]]:
    """Yield what is in images uint8 (h, w), (h, w, 3) or (h, w, 4): `width`, `height`, `boxes`, as `Found` has them."""
    plan = _plan(model, model.metadata.get("app") or "APP")
    for image, found in zip(images, find_each(model, images, plan, threshold=threshold, iou=iou), strict=True):
        yield {"width": image.shape[1], "height": image.shape[0], "boxes": _rows(found, model.labels)}


# Before the work ------------------------------------------------------------------------------------------------------


def _plan(model: Any, app: str) -> Plan:
    if model.metadata.get("task") != "detection":
        raise ArtifactError(
            f"{model.path} does not find things: it is not a detector. Give one that `cnnkit {app} train` made for "
            "detection; a model that names what a picture shows goes to `recogniser`."
        )
    try:
        return Plan.from_dict(model.metadata["detection"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(
            f"{model.path} is a detector that does not say how images meet it ({error}). Export it again."
        ) from error


def _recogniser(path: Path, app: str, threads: int | None, tell: Reporter) -> Any:
    model = opening.open_model(path, app, threads, tell)
    if model.metadata.get("task", "classification") != "classification":
        raise ArtifactError(
            f"`recogniser={path}` is a detector. Give a model that names what a picture shows; the detector is the first "
            "argument."
        )
    return model


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEOS


def _sources(inputs: Sequence[Path], out: Path | None) -> Iterator[tuple[Path, Path]]:
    """Yield the images and videos that inputs name, each with its path below the folder that named it."""
    made = out.resolve() if out is not None else None
    for path in inputs:
        if not path.is_dir():
            yield path, Path(STDIN if path == Path("-") else path.name)
            continue
        found = [
            file
            for file in sorted(path.rglob("*"))
            if file.suffix.lower() in IMAGES | VIDEOS and not file.name.startswith(".") and file.is_file()
        ]
        if made is not None and made != path.resolve():  # copies of an earlier run
            found = [file for file in found if made not in file.resolve().parents]
        if not found:
            raise DataError(
                f"{path} holds no image and no video. Give files or folders of {', '.join(sorted(IMAGES | VIDEOS))}."
            )
        yield from ((file, file.relative_to(path)) for file in found)


def _targets(sources: Sequence[tuple[Path, Path]], out: Path) -> list[Path]:
    """Return where the copy of each input goes, a video's without suffix; no two alike, and none an input.

    Raises:
        DataError: a copy would replace an input.
    """
    taken: set[str] = set()
    inputs = {path.resolve() for path, _ in sources}
    targets = []
    for path, relative in sources:
        video = _is_video(path)
        suffix = "" if video else relative.suffix if relative.suffix.lower() in (".jpg", ".jpeg") else ".png"
        own = files.shortened(relative.stem, files.LONGEST - 24)  # numbers and suffixes come behind it
        stem, number = relative.with_name(own).as_posix() if own else relative.as_posix(), 1

        def names(name: str, video: bool = video, suffix: str = suffix) -> list[str]:
            return [name + end for end in ((".mp4", ".avi") if video else (suffix,))]

        # Compared without case: a.PNG and a.png are one file on many systems.
        while taken & {name.lower() for name in names(stem if number == 1 else f"{stem}-{number}")}:
            number += 1
        chosen = stem if number == 1 else f"{stem}-{number}"
        taken |= {name.lower() for name in names(chosen)}
        for name in names(chosen):
            if (out / name).resolve() in inputs:
                raise DataError(f"`out={out}`: the copy of {path} would replace {out / name}. Choose another folder.")
        targets.append(out / (chosen + suffix))
    return targets


def _files_of(target: Path, video: bool | None = None) -> list[Path]:
    """Return what a target of `_targets` may become: of a video, which has no suffix yet, .mp4 or .avi."""
    video = target.suffix.lower() not in (".jpg", ".jpeg", ".png") if video is None else video
    return [target.with_name(target.name + end) for end in (".mp4", ".avi")] if video else [target]


def _text(path: Path) -> str:
    """Return an input's name as JSON can hold it: as it is, unless its bytes are not text."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return printable(str(path))
    return str(path)


def _short(path: Path) -> str:
    return printable(path.name)


@contextlib.contextmanager
def _no_progress() -> Iterator[Any]:
    yield lambda completed, text="": None


# The work -------------------------------------------------------------------------------------------------------------

Entries = Generator[dict[str, Any], None, None]


def _written(
    job: _Job, work: Entries, results: Path, write: Callable[[Mapping[str, Any], Sequence[str]], None]
) -> Entries:
    """Do the work, and write its results; what it found up to there where it is stopped."""
    try:
        yield from work
    except (CnnkitError, OSError, KeyboardInterrupt, GeneratorExit):
        if job.entries:
            write(job.document(), job.labels)
            own_files.note([results])
            job.tell.warning(f"{results} holds what was found up to here.")
        raise
    write(job.document(), job.labels)
    own_files.note([results])


def _every(
    job: _Job,
    sources: Sequence[tuple[Path, Path]],
    targets: Sequence[Path | None],
    camera: int | str | None,
    out: Path | None,
    skip_bad: bool,
) -> Entries:
    videos = any(_is_video(path) for path, _ in sources)
    show = job.tell.progress("Finding", len(sources)) if len(sources) > 1 or videos else _no_progress()
    with show as update:
        for number, ((path, _), target) in enumerate(zip(sources, targets, strict=True)):
            update(number, _short(path))
            try:
                if _is_video(path):
                    with Video.open(path) as video:
                        yield from _video(
                            job, video, target, lambda part, n=number, p=path: update(n + part, _short(p))
                        )
                else:
                    yield _image(job, path, target)
            except DataError as error:
                if not skip_bad:
                    raise
                job.skipped.append(str(error))
                job.tell.warning(f"skipped: {error}")
    if camera is not None:
        with Video.camera(camera, job.tell) as video:
            target = out / video.name.replace(" ", "-") if out else None
            if target is not None:
                own_files.check(_files_of(target, video=True))
            job.tell.message(f"Looking through {video.name}. Stop with Ctrl-C.")
            yield from _video(job, video, target, lambda part: None)


def _image(job: _Job, path: Path, target: Path | None) -> dict[str, Any]:
    image = read_image(path)
    found = find_objects(job.model, image, job.plan, threshold=job.threshold, iou=job.iou)
    recognised = _recognised(job, image, found)
    if target is not None:
        names, colours = _captions(job, found, recognised, [None] * len(found.scores))
        drawn = cv2.cvtColor(drawing.annotate(image, found.boxes, names, colours), cv2.COLOR_RGB2BGR)
        options = _JPEG if target.suffix.lower() in (".jpg", ".jpeg") else []
        files.write_bytes(target, cv2.imencode(target.suffix.lower(), drawn, options)[1].tobytes())
        own_files.note([target])
    job.entries.append(_entry(job, _text(path), image, found, recognised))
    return job.entries[-1]


def _video(job: _Job, video: Video, stem: Path | None, update: Any) -> Entries:
    tracker = Tracker(
        patience=max(3, round(LOST * video.fps)), hits=HITS if video.fps >= FEW else HITS - 1, start=job.threshold
    )
    about = job.model.metadata
    low = float(as_claimed(LOW * as_learnt(job.threshold, about), about)) if job.track else job.threshold
    announced: set[int] = set()
    entries: list[dict[str, Any]] = []
    busy, frames = 0.0, 0
    total = min(video.count or 0, job.limit_frames or video.count or 0)
    began = time.perf_counter()

    def finish() -> None:
        """Keep what was found in the frames so far."""
        tracks = tracker.tracks()
        counted = {track.id for track in tracks}
        for entry in entries:
            for box in entry["boxes"]:
                if box.get("track") not in counted:  # too short to be told from a mistake
                    box.pop("track", None)
        job.entries += entries
        job.tracks += [_track(job, video.name, track) for track in tracks]
        wall = time.perf_counter() - began
        job.videos.append({"input": video.name, "frames": frames, "busy": busy, "wall": wall})
        entries.clear()

    try:
        pace = None if stem is None else video.pace()
        writing = contextlib.nullcontext() if stem is None or pace is None else VideoWriter(stem, pace.fps)
        with writing as copy, contextlib.closing(video.frames()) as images:
            shown = 0  # frames in the copy
            try:
                for index, image in enumerate(images):
                    start = time.perf_counter()
                    found = find_objects(job.model, image, job.plan, threshold=low, iou=job.iou)
                    high = found.scores >= job.threshold
                    recognised = _recognised(job, image, found, high)
                    busy += time.perf_counter() - start
                    ids = np.full(len(found.scores), -1)
                    if job.track:
                        extra = None if recognised is None else recognised * found.scores[:, None]
                        ids = tracker.update(found, index, extra)
                    found, ids = found.take(high), ids[high]
                    recognised = None if recognised is None else recognised[high]
                    if copy is not None:
                        current = tracker.current()
                        names, colours = _captions(job, found, recognised, [current.get(int(number)) for number in ids])
                        draw = functools.partial(drawing.annotate, image, found.boxes, names, colours)
                        times = 1
                        if video.live:  # it waits for nobody: its copy shows a frame for as long as it took
                            times = max(1, int((time.perf_counter() - began) * video.fps) - shown)
                        elif pace is not None and not pace.even:
                            times = max(0 if shown else 1, pace.due(video.moments[index]) - shown)
                        if times:
                            copy.add(draw, times)
                        shown += times
                    frames = index + 1
                    seen = not video.live or len(found.scores) > 0
                    if seen:
                        numbers = ids if job.track else None
                        moment = time.perf_counter() - began if video.live else video.moments[index]
                        entries.append(_entry(job, video.name, image, found, recognised, (index, moment), ids=numbers))
                    if video.live:
                        for number, followed in tracker.current().items():
                            if number not in announced:
                                announced.add(number)
                                job.tell.message(f"{time.perf_counter() - began:8.1f} s  {_name(job, followed)}")
                    update(min(1.0, frames / total) if total else 0.0)
                    if seen:
                        yield entries[-1]
                    if job.limit_frames is not None and frames >= job.limit_frames:
                        break
            except (KeyboardInterrupt, GeneratorExit):  # how one stops looking through a camera
                if not video.live:
                    raise
        if copy is not None and copy.path is not None:
            own_files.note([copy.path])
    finally:
        if frames:
            finish()
    complaint = video.complaint()
    if complaint:
        job.warnings.append(complaint)
        job.tell.warning(complaint)


def _recognised(job: _Job, image: np.ndarray, found: Detections, chosen: np.ndarray | None = None) -> np.ndarray | None:
    """Return the recogniser's scores of each box, float32 (k, names); 0 where a box is not chosen. None without one."""
    if job.recogniser is None:
        return None
    shape = job.recogniser.input_shape
    scores = np.zeros((len(found.scores), len(job.recogniser.labels)), np.float32)
    which = np.arange(len(found.scores)) if chosen is None else np.flatnonzero(chosen)
    if len(which):
        cuts = np.stack([fit_image(_cut(image, found.boxes[k]), shape) for k in which])
        scores[which] = job.recogniser.run_batch(cuts)["scores"]
    return scores


def _cut(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Cut a box out of an image, `MARGIN` of its sides added on each side as far as the image goes."""
    height, width = image.shape[:2]
    more = MARGIN * (box[2:] - box[:2])
    left, top = np.floor(box[:2] - more).astype(int)
    right, bottom = np.ceil(box[2:] + more).astype(int)
    left, top = min(max(0, left), width - 1), min(max(0, top), height - 1)
    return image[top : max(top + 1, min(bottom, height)), left : max(left + 1, min(right, width))]


# What is told ---------------------------------------------------------------------------------------------------------


def _entry(
    job: _Job,
    name: str,
    image: np.ndarray,
    found: Detections,
    recognised: np.ndarray | None,
    frame: tuple[int, float] | None = None,
    *,
    ids: np.ndarray | None = None,
) -> dict[str, Any]:
    """Return an entry of `predictions`; `frame` is its number and its time in seconds."""
    rows = _rows(found, job.model.labels)
    for k, row in enumerate(rows):
        if ids is not None and ids[k] > 0:
            row["track"] = int(ids[k])
        if recognised is not None:
            order = np.argsort(-recognised[k], kind="stable")[: job.top]
            best = [{"label": job.recogniser.labels[i], "score": round(float(recognised[k, i]), 6)} for i in order]
            row |= {
                "recognised": best[0]["label"],
                "recognised_score": best[0]["score"],
                **({"top": best} if job.top > 1 else {}),
            }
    frames = {} if frame is None else {"frame": frame[0], "time": round(frame[1], 3)}
    return {"input": name, **frames, "width": image.shape[1], "height": image.shape[0], "boxes": rows}


def _rows(found: Detections, labels: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"label": labels[code], "score": round(float(score), 6), "box": _box(box)}
        for box, score, code in zip(*found, strict=True)
    ]


def _track(job: _Job, name: str, track: Track) -> dict[str, Any]:
    """Return an entry of `tracks`: an object of a video."""
    named = {}
    if len(track.extra):
        best = int(track.extra.argmax())
        named = {
            "recognised": job.recogniser.labels[best],
            "recognised_score": round(float(track.extra[best] / max(track.extra.sum(), 1e-9)), 6),
        }
    return {
        "input": name,
        "track": track.id,
        "label": job.model.labels[track.code],
        "score": round(track.score, 6),
        **named,
        "first_frame": track.first,
        "last_frame": track.last,
        "frames": track.hits,
        "frame": track.frame,
        "box": _box(track.box),
    }


def _box(box: np.ndarray) -> list[float]:
    return [round(float(side), 2) for side in box]


def _rate(frames: int, seconds: float) -> float | None:
    return round(frames / seconds, 2) if seconds > 0 else None


def _name(job: _Job, track: Track) -> str:
    if len(track.extra):
        best = int(track.extra.argmax())
        return f"{job.recogniser.labels[best]} {track.extra[best] / max(track.extra.sum(), 1e-9):.0%}"
    return f"{job.model.labels[track.code]} {track.score:.0%}"


def _captions(
    job: _Job, found: Detections, recognised: np.ndarray | None, tracks: Sequence[Track | None]
) -> tuple[list[str], list[drawing.Colour]]:
    """Return text and colour of each box; what a track has voted for stands over what a single frame says."""
    names, colours = [], []
    for k, track in enumerate(tracks):
        code, score = int(found.codes[k]), float(found.scores[k])
        if track is not None:
            code = track.code
        if recognised is not None:
            votes = recognised[k] if track is None else track.extra / max(track.extra.sum(), 1e-9)
            code, score = int(votes.argmax()), float(votes.max())
        names.append(f"{job.labels[code]} {score:.0%}")
        colours.append(drawing.colour(code))
    return names, colours


def _told(job: _Job, out: Path | None, results: Path | None) -> list[str | Table]:
    """Return what was found, for a person: a line for each box, in videos that were tracked for each object."""
    followed = {video["input"] for video in job.videos} if job.track else set()
    frames = any("frame" in entry for entry in job.entries)
    rows: list[list[str]] = []

    def add(name: str, when: str, box: dict[str, Any] | None) -> None:
        if box is None:
            cells = ["nothing found", *([""] if job.recogniser is not None else []), "", ""]
        else:
            place = ", ".join(f"{side:.0f}" for side in box["box"])
            best = box.get(
                "top", [{"label": box.get("recognised", box["label"]), "score": box.get("recognised_score")}]
            )
            if job.recogniser is None:
                cells = [box["label"], f"{box['score']:.1%}", place]
            else:
                more = "".join(f", {entry['label']} {entry['score']:.1%}" for entry in best[1:])
                cells = [best[0]["label"] + more, f"{best[0]['score']:.1%}", f"{box['score']:.1%}", place]
        rows.append([printable(name), *([when] if frames else []), *cells])

    told = set()
    for entry in job.entries:
        name = entry["input"]
        if "frame" in entry and name in followed:
            if name not in told:
                told.add(name)
                mine = [track for track in job.tracks if track["input"] == name]
                for track in mine:
                    add(name, f"{track['first_frame']} to {track['last_frame']}", track)
                if not mine:
                    add(name, "", None)
            continue
        for box in entry["boxes"] or ([None] if "frame" not in entry else []):
            add(name, str(entry.get("frame", "")), box)
    head = ["input", *(["frames"] if frames else []), "label"]
    columns = [*head, "score", *(["found"] if job.recogniser is not None else []), "box"]
    shown: list[str | Table] = [Table(columns, rows)]
    for video in job.videos:
        inference, wall = _rate(video["frames"], video["busy"]), _rate(video["frames"], video["wall"])
        shown.append(
            f"{printable(video['input'])}: {video['frames']:,} frames, {inference} a second found, {wall} with reading"
            + (" and writing." if out else ".")
        )
    images = Counter(bool(entry["boxes"]) for entry in job.entries if "frame" not in entry)
    if images.total() > 1:
        shown.append(f"{images[True]:,} of {images.total():,} images with something found.")
    if out is not None:
        shown.append(f"Copies with boxes: {out}")
    if results is not None:
        shown.append(f"Results: {results}")
    return shown
