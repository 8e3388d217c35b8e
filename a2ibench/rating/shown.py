"""What raters get to see, hear, watch or read: of outputs, and of what was given."""

from pathlib import Path
from tempfile import TemporaryDirectory

from a2ibench.clips import Clip
from a2ibench.errors import A2IBenchError
from a2ibench.media import MEDIA, Medium
from a2ibench.media import get as get_medium
from a2ibench.media.audio import read_audio
from a2ibench.media.video import SOUND_RATE, mux
from a2ibench.tasks import Task
from a2ibench.tasks.questions import Gives

BY_SUFFIX: dict[str, Medium] = {medium.uniform.suffix: medium for medium in MEDIA.values()}
"""The medium of a file in ``media/``, by its ending."""
Value = Path | str
"""An output, or what a clip has in a column: a file, or a text."""


class Shown:
    """Makes the files of a study: all of one kind have one format and size, and nothing tells where they are from.

    Parameters
    ----------
    task
        The task.
    gives
        What raters get besides the outputs.

    Raises
    ------
    A2IBenchError
        If a condition and an output can't be shown together: they are not a video and a sound.

    """

    def __init__(self, task: Task, gives: Gives):
        self.task, self.gives = task, gives
        self.condition = get_medium(task.columns[task.condition])
        self.output = get_medium(task.output)
        self._pictures: dict[Path, bytes] = {}
        self._made: dict[tuple[str, Value], bytes] = {}
        if gives == "together" and {self.condition.name, self.output.name} != {"audio", "video"}:
            raise A2IBenchError(
                f"The task {task.name} can't show its {task.given} and {task.noun} together, which needs a video and a "
                "sound; let its question give 'condition'."
            )

    @property
    def suffix(self) -> str:
        """The ending of what is shown of an output."""
        return (MEDIA["video"] if self.gives == "together" else self.output).uniform.suffix

    @property
    def given_suffix(self) -> str | None:
        """The ending of what is shown of a condition; None where it isn't shown by itself."""
        return self.condition.uniform.suffix if self.gives == "condition" else None

    def of_output(self, clip: Clip, value: Value) -> bytes:
        """Make what is shown of an output that was made for a clip; each once, however many items show it."""
        key = (clip.clip_id, value)
        if key not in self._made:
            self._made[key] = self._of_output(clip, value)
        return self._made[key]

    def _of_output(self, clip: Clip, value: Value) -> bytes:
        if self.gives != "together":
            return _uniform(value, self.output, whole=False)
        condition, output = clip.file(self.task.condition), Path(value)
        if self.condition.name == "video":
            return self._joined(condition, output, whole=True)
        return self._joined(output, condition, whole=False)

    def of_condition(self, clip: Clip) -> bytes:
        """Make what is shown of a clip's condition, whole: it is the same for all methods."""
        return _uniform(clip[self.task.condition], self.condition, whole=True)

    def _joined(self, video: Path, sound: Path, *, whole: bool) -> bytes:
        """Put a sound in the place of a video's own. Each picture is coded once, so it is the same with every sound."""
        if video not in self._pictures:
            self._pictures[video] = MEDIA["video"].uniform.make(video, whole=whole)
        with TemporaryDirectory() as folder:
            picture, out = Path(folder, "picture.mp4"), Path(folder, "out.mp4")
            picture.write_bytes(self._pictures[video])
            mux(picture, read_audio(sound, SOUND_RATE), SOUND_RATE, out)
            return out.read_bytes()


def _uniform(value: Value, medium: Medium, *, whole: bool) -> bytes:
    return value.encode() if isinstance(value, str) else medium.uniform.make(value, whole=whole)
