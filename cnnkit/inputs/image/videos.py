"""Videos and cameras, frame by frame, and videos written whole or not at all.

Design choices:
- OpenCV decodes and encodes; which formats there are is a matter of how it was built, and asked of it, never assumed.
- Reading is a few frames ahead of the model, and drawing and writing a few behind, each in a thread of its own: OpenCV does
  its work without Python's lock. A camera is not read ahead, so that its newest frame is the one seen.
- Headers are estimates: a video that ends within 1 % of what its header says has ended where it should, be it in frames or in
  seconds. Of Matroska, WebM and phones' videos, whose frames do not come evenly, the number of frames is a guess; when each
  frame is shown is what the stream says of it.
- The copy of such a video has as many frames a second as its fastest part, and shows each as long as the video does.
- A stream that does not answer is given up after `PATIENCE` seconds, and that one waits for it is said at once.
- A video is written under a hidden name in the same folder, looked at, and renamed; what an interrupted or failed run leaves
  never has the final name. The video writer does not report a full disk, hence the look.
- Paths are made absolute: FFmpeg takes `a:b.mp4` for an address.
- FFmpeg's own messages are silenced: what is wrong with a video is said once.
"""

import contextlib
import math
import os
import queue
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # read when the first video is opened

import cv2
import numpy as np

from cnnkit.device.image import ImageError, ImageNotFound, fit_image
from cnnkit.errors import CnnkitError, DataError
from cnnkit.files import printable, shortened, system_errors
from cnnkit.quiet import quiet
from cnnkit.reporter import SILENT, Reporter

VIDEOS = frozenset(
    [".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mjpeg", ".mjpg", ".mpg", ".mpeg"]
    + [".mts", ".m2ts", ".wmv", ".flv", ".ogv", ".3gp"]
)
FPS = 25.0  # of a video that does not say
PATIENCE = 30.0  # seconds that the address of a stream may take to answer, or to send its next frame
AHEAD = 3  # frames that are read before, or written after, the one that the model sees
_SMOOTH = 60.0  # frames a second of a copy, at most where they do not come evenly
_JITTER = 2.5  # ms by which times differ that are rounded
_FASTEST = 1000.0  # frames a second; a header that claims more counts frames in ticks of its clock


class Video:
    """A video file or a camera, opened. Iterate over it once; `close` it, or use it as a context.

    Attributes:
        name: what it is called in messages.
        live: whether it is a camera.
        fps: frames a second, as its header says, else 25.
        count: frames, as its header says; None where it does not, and of a camera.
        read: frames read so far.
        moments: when each of these is shown, in seconds from the first.
    """

    def __init__(self, name: str, capture: Any, *, live: bool):
        self.name, self.live = name, live
        self._capture = capture
        fps, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.fps = float(fps) if math.isfinite(fps) and 0 < fps <= _FASTEST else FPS
        self.count = int(count) if not live and math.isfinite(count) and 0 < count < 2**40 else None
        self.read = 0
        self.moments: list[float] = []
        self._ended = False
        self._times: np.ndarray | None = None

    @classmethod
    def open(cls, path: Path) -> "Video":
        """Open a video file.

        Raises:
            DataError: there is no such file, it is empty, or OpenCV cannot read it.
        """
        try:
            with path.open("rb") as file:
                empty = not file.read(1)
        except FileNotFoundError:
            raise ImageNotFound(str(path), "there is no such file", "Check the path.") from None
        except OSError as error:
            raise ImageError(str(path), f"it cannot be opened ({error.strerror or error})", "Check the path.") from None
        if empty:
            raise ImageError(str(path), "it is empty")
        if not _is_text(path):
            raise ImageError(str(path), "its name is not valid text, which OpenCV needs", "Rename it.")
        capture = _capture(str(path.absolute()))
        if capture is None:
            raise ImageError(
                str(path),
                "it does not open as a video (cut short, damaged, or of a codec that this OpenCV lacks)",
                "Convert it with `ffmpeg -i FILE out.mp4`, or leave it out.",
            )
        return cls(str(path), capture, live=False)

    @classmethod
    def camera(cls, which: int | str, tell: Reporter = SILENT) -> "Video":
        """Open a camera by its number, or by the address of its stream; `tell` hears that one waits for that.

        Raises:
            DataError: it cannot be opened.
        """
        which = int(which) if str(which).isdecimal() else which
        options: list[int] = []
        if isinstance(which, str) and "://" in which:
            tell.message(f"Waiting for {which}, {PATIENCE:g} s at most.")
            limit = int(1000 * PATIENCE)
            options = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit]
        began = time.monotonic()
        capture = _capture(which, options) if options else _capture(which)
        if capture is None:
            if options and time.monotonic() - began >= PATIENCE:
                raise DataError(
                    f"Camera {which} did not answer within {PATIENCE:g} s. See that the address is right and that the camera is "
                    "on; a player such as `ffplay ADDRESS` tells whether it sends."
                )
            raise DataError(
                f"Camera {which} cannot be opened. See that it is connected, not in use, and that you may read it; "
                "the first one is `camera=0`."
            )
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest frame, not the oldest one in a queue
        return cls(f"camera {which}", capture, live=True)

    def __enter__(self) -> "Video":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the frames, uint8 RGB (h, w, 3), upright.

        Raises:
            DataError: there is no frame in it.
        """
        while True:
            try:
                found, frame = self._capture.read()
            except cv2.error:
                found, frame = False, None
            if not found or frame is None:
                break
            self.read += 1
            self.moments.append(self._moment())
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) if frame.ndim == 3 else fit_image(frame, (*frame.shape, 3))
        self._ended = True
        if not self.read:
            raise ImageError(self.name, "no frame comes out of it", "Check it with a player, or leave it out.")

    def frames(self) -> Generator[np.ndarray, None, None]:
        """Yield the same, of a file read ahead. Close it before the video: `contextlib.closing`."""
        yield from iter(self) if self.live else _ahead(iter(self))

    def _moment(self) -> float:
        """Return when the frame just read is shown, seconds; where the stream does not say, by the header's rate."""
        told = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        last = self.moments[-1] if self.moments else -1.0
        if self.live or not math.isfinite(told) or told <= last:
            return max(0.0, last + 1 / self.fps) if self.moments else 0.0
        return told

    def times(self) -> np.ndarray:
        """Return when each frame of the file is shown, seconds, float64 (n,), sorted; empty where nothing says so.

        The file is gone through once, without decoding.
        """
        if self._times is None:
            self._times = np.zeros(0) if self.live else _times(self.name)
        return self._times

    def pace(self) -> "Pace":
        """Return how long a copy is to show each frame."""
        return Pace(self.fps, np.zeros(0) if self.live else self.times())

    def complaint(self) -> str | None:
        """Return what is wrong with the video, one line, where it ended before its header says."""
        if self.live and self._ended:
            return f"{self.name} sent no frame after frame {self.read - 1}. What was found so far is kept."
        if not self._ended or self.count is None or self.read + 1 + self.count // 100 >= self.count:
            return None
        known = len(self.times())
        longest = float(np.diff(self.moments).max(initial=1 / self.fps))
        whole = self.moments[-1] + 1.5 * longest >= 0.99 * self.count / self.fps
        if whole and self.read + 1 + known // 100 >= known:  # the number of frames was a guess
            return None
        return (
            f"{self.name} ends after frame {self.read - 1} ({self.moments[-1] + 1 / self.fps:.1f} s), {self.read} of the "
            f"{known if whole else self.count} frames that its header states: it is cut short or damaged there. What was found "
            "so far is kept."
        )

    def close(self) -> None:
        """Let go of the file or camera."""
        self._capture.release()


class Pace:
    """How a copy of a video is timed.

    Args:
        fps: frames a second, as the video's header says.
        times: when each frame is shown, seconds, sorted; empty where it is not known.

    Attributes:
        fps: of the copy.
        even: whether all frames are shown equally long.
    """

    def __init__(self, fps: float, times: np.ndarray):
        steps = np.diff(times)
        steps = steps[steps > 0]
        self._times = times
        self.fps, self.even = fps, True
        if len(steps) < 2:
            return
        low, middle, high = np.quantile(steps, [0.02, 0.5, 0.98])
        if high - low > max(_JITTER / 1000, 0.1 * middle):
            self.fps, self.even = float(min(max(_SMOOTH, fps), 1 / low)), False
        elif abs(1 / middle - fps) > 0.02 * fps:  # a header that states another rate than that of its frames
            self.fps = float(1 / np.mean(steps))
        self._last = float(steps[-1])

    def due(self, moment: float) -> int:
        """Return how many frames the copy is to have when the one of this moment, seconds, has been shown."""
        after = np.searchsorted(self._times, moment + 1e-6)
        end = self._times[after] if after < len(self._times) else moment + self._last
        return round((float(end) - float(self._times[0])) * self.fps)


def _times(path: str) -> np.ndarray:
    """Go through the packets of a video file: when each is shown, seconds, sorted; empty where OpenCV cannot tell."""
    capture = _capture(os.path.abspath(path), [cv2.CAP_PROP_FORMAT, -1], cv2.CAP_FFMPEG)  # noqa: PTH100
    found: list[float] = []
    if capture is not None:
        if capture.get(cv2.CAP_PROP_FORMAT) == -1:
            while capture.grab():
                found.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
        capture.release()
    times = np.sort(np.array(found, np.float64))
    return times if len(times) and np.isfinite(times).all() and times[-1] > times[0] else np.zeros(0)


def _ahead(frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield what `frames` yields, made by another thread. That ends with this generator."""
    ready: queue.Queue[np.ndarray | BaseException | None] = queue.Queue(AHEAD)
    stop = threading.Event()

    def put(item: np.ndarray | BaseException | None) -> bool:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(item, timeout=0.1)
                return True
        return False

    def read() -> None:
        try:
            for frame in frames:
                if not put(frame):
                    return
            put(None)
        except BaseException as error:  # raised again where the frame is missed
            put(error)

    thread = threading.Thread(target=read, name="frames", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()


def _is_text(path: Path) -> bool:
    """Whether a path can be handed to OpenCV, which crashes on bytes that are not UTF-8."""
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        return False
    return True


def _capture(source: int | str, options: Sequence[int] = (), backend: int = cv2.CAP_ANY) -> Any:
    with quiet():  # backends complain past OpenCV's log
        try:
            capture = cv2.VideoCapture(source, backend, list(options)) if options else cv2.VideoCapture(source)
        except cv2.error:
            return None
    if not capture.isOpened():
        capture.release()
        return None
    return capture


class VideoWriter:
    """Writes a video: .mp4, or .avi where this OpenCV has no encoder for it or a side is odd. Use it as a context.

    On leaving the block the file gets its name, unless an error ended it: then nothing is left.

    Args:
        stem: its path without suffix.
        fps: frames a second.

    Attributes:
        path: the finished file; None before, and where there was no frame.
    """

    def __init__(self, stem: Path, fps: float):
        self.stem, self.fps = stem, fps
        self.path: Path | None = None
        self._size = (0, 0)
        self._count = 0
        self._writer: Any = None
        self._part: Path | None = None
        self._suffix = ""
        self._pool = ThreadPoolExecutor(1, "copy")
        self._pending: deque[Future[None]] = deque()

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=kind is not None)
        if self._writer is not None:
            self._writer.release()
        try:
            if kind is None:
                while self._pending:
                    self._pending.popleft().result()
                if self._part is not None:
                    self._finish(self._part)
        finally:
            if self._part is not None:
                self._part.unlink(missing_ok=True)

    def add(self, make: Callable[[], np.ndarray], times: int = 1) -> None:
        """Write a frame soon, in order; an error in it is raised by a later call, or on leaving the block.

        Args:
            make: returns it, uint8 RGB (h, w, 3); one of another size than the first is brought to that.
            times: how often.
        """

        def work() -> None:
            frame = make()
            for _ in range(times):
                self._write(frame)

        self._pending.append(self._pool.submit(work))
        while len(self._pending) > AHEAD or (self._pending and self._pending[0].done()):
            self._pending.popleft().result()

    def _write(self, frame: np.ndarray) -> None:
        height, width = frame.shape[:2]
        if self._writer is None:
            self._size = (height, width)
            self._open()
        if (height, width) != self._size:
            frame = fit_image(frame, (*self._size, 3))
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        self._count += 1

    def _open(self) -> None:
        forms = [(".mp4", "mp4v", cv2.CAP_ANY), (".avi", "MJPG", cv2.CAP_ANY), (".avi", "MJPG", cv2.CAP_OPENCV_MJPEG)]
        if (
            self._size[0] % 2 or self._size[1] % 2
        ):  # FFmpeg would cut off a row or column; OpenCV's own encoder does not
            forms = [forms[2], forms[0]]
        if not _is_text(self.stem):
            raise CnnkitError(
                f"{printable(str(self.stem))} is not valid text, which OpenCV needs. Choose another folder."
            )
        with system_errors(self.stem):
            self.stem.parent.mkdir(parents=True, exist_ok=True)
        for suffix, code, backend in forms:
            with system_errors(self.stem):
                descriptor, name = tempfile.mkstemp(
                    dir=self.stem.parent.absolute(),
                    prefix=f".{shortened(self.stem.name, 200)}.",
                    suffix=f".part{suffix}",
                )
            os.close(descriptor)
            part = Path(name)
            with quiet():
                try:
                    fourcc = cv2.VideoWriter.fourcc(*code)
                    writer = cv2.VideoWriter(name, backend, fourcc, self.fps, self._size[::-1])
                except cv2.error:
                    writer = None
            if writer is not None and writer.isOpened():
                self._writer, self._part, self._suffix = writer, part, suffix
                return
            part.unlink(missing_ok=True)
        raise CnnkitError(
            f"{self.stem} cannot be written: this OpenCV has no encoder for .mp4 or .avi. Leave out `out`, or install "
            "opencv-python-headless from PyPI."
        )

    def _finish(self, part: Path) -> None:
        path = self.stem.with_name(self.stem.name + self._suffix)
        capture = _capture(str(part))
        whole = capture is not None and capture.get(cv2.CAP_PROP_FRAME_COUNT) >= self._count
        if capture is not None:
            capture.release()
        if not whole:
            raise CnnkitError(f"{path} could not be written whole. Free some space and run the command again.")
        with system_errors(path):
            umask = os.umask(0)
            os.umask(umask)
            with contextlib.suppress(OSError):
                part.chmod(0o666 & ~umask)  # mkstemp makes private files
            part.replace(path)
        self.path = path
