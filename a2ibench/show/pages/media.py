"""What of a page's sounds and pictures goes into it, and what is linked: whole groups, as long as they fit."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from a2ibench.clips import Clip
from a2ibench.pictures.gallery import PLAYED, Sprite
from a2ibench.show.pages import data_uri
from a2ibench.tasks import Task

BUDGET = 10_500_000  # bytes of media in a page, of 12 MB: what mail and code hosts still take
SPRITES = 4_000_000  # the most that three sheets of 240 small pictures take
KINDS = {
    ".ogg": "audio/ogg", ".oga": "audio/ogg", ".opus": "audio/ogg", ".wav": "audio/wav", ".flac": "audio/flac",
    ".mp3": "audio/mpeg", ".m4a": "audio/mp4", ".mp4": "video/mp4", ".webm": "video/webm",
}  # fmt: skip


class Media:
    """Gives the addresses of a page's media: their contents while there is room, links beside the page after that.

    Parameters
    ----------
    folder
        Where the page will lie; links are relative to it.
    inline
        Whether anything goes into the page at all.
    room
        For how many bytes there is room.

    """

    def __init__(self, folder: Path, inline: bool, room: int = BUDGET):
        self.folder, self.room = folder.resolve(), room if inline else 0

    def sheets(
        self, sprites: Mapping[str, Sprite | None], links: Mapping[str, str], clips: Sequence[str]
    ) -> dict[str, dict[str, Any] | None]:
        """Describe sheets for the script, by name: all of them inside, or all linked.

        Parameters
        ----------
        sprites
            The sheets; None where there is none.
        links
            Where each lies, relative to the page; a sheet without a link is left out where there is no room.
        clips
            The page's clips: tiles are given by the places in this list (-1: of no clip of the page).

        """
        place = {clip_id: index for index, clip_id in enumerate(clips)}
        inside = self._take(sum(len(sprite.webp) for sprite in sprites.values() if sprite))
        found: dict[str, dict[str, Any] | None] = dict.fromkeys(sprites)
        for name, sprite in sprites.items():
            if sprite is not None and (inside or name in links):
                found[name] = {
                    "src": data_uri("image/webp", sprite.webp) if inside else quote(links[name]),
                    "tile": sprite.sheet.tile,
                    "columns": sprite.sheet.columns,
                    "clips": [place.get(clip_id, -1) for clip_id in sprite.sheet.clips],
                }
        return found

    def files(self, clips: Sequence[Clip], column: str) -> dict[str, str | None]:
        """Give the address of each clip's file in a column, by clip id; None where there is none."""
        return self.addresses({clip.clip_id: clip.file(column) for clip in clips})

    def addresses(self, given: Mapping[str, Path]) -> dict[str, str | None]:
        """Give the address of each file, by its key: all of them inside, or all linked; None where there is none."""
        files = {key: file if file.is_file() else None for key, file in given.items()}
        inside = self._take(sum(file.stat().st_size for file in files.values() if file))
        return {
            clip_id: None if file is None else self._inside(file) if inside else self.link(file)
            for clip_id, file in files.items()
        }

    def previews(self, encoded: Mapping[str, str], clips: Sequence[str]) -> list[str | None]:
        """Give an entry's sounds, MP3 in base64 by clip id, as addresses in the clips' order, if there is room."""
        inside = bool(encoded) and self._take(sum(map(len, encoded.values())) * 3 // 4)
        return [f"data:audio/mpeg;base64,{encoded[c]}" if c in encoded else None for c in clips] if inside else []

    def link(self, file: Path) -> str | None:
        """Give a file's address relative to the page; None where that would tell somebody's home folder."""
        file = file.resolve()
        if file.is_relative_to(Path.home()) and not self.folder.is_relative_to(Path.home()):
            return None
        try:
            return quote(Path(os.path.relpath(file, self.folder)).as_posix())
        except ValueError:  # another drive
            return None

    def _inside(self, file: Path) -> str:
        return data_uri(KINDS.get(file.suffix.lower(), "application/octet-stream"), file.read_bytes())

    def _take(self, size: int) -> bool:
        """Take room for so many bytes in base64, if there is."""
        needed = -(-size * 4 // 3) + 200
        if needed > self.room:
            return False
        self.room -= needed
        return True


def script_task(task: Task) -> dict[str, Any]:
    """Tell the script what is given, real and made: the words, and the media that it plays."""
    return {
        "given": task.given,
        "real": f"real {task.noun}",
        "made": task.noun,
        "condition": task.columns[task.condition],
        "reference": task.columns[task.reference],
        "output": task.output,
    }


def script_clips(shown: Sequence[Clip], task: Task, media: Media) -> list[dict[str, Any]]:
    """List clips for the script: what was given, to hear, watch or read, and the real output where it is played."""
    condition, reference = task.columns[task.condition], task.columns[task.reference]
    # In this order they get what room there is: a clip is nothing without what was given.
    given = media.files(shown, task.condition) if condition in PLAYED else {}
    real = media.files(shown, task.reference) if reference in PLAYED else {}
    return [
        {
            "index": index,
            "id": clip.clip_id,
            "label": clip.label,
            "audio": given.get(clip.clip_id),
            "text": clip.text(task.condition) if condition == "text" else None,
            "real": real.get(clip.clip_id),
        }
        for index, clip in enumerate(shown)
    ]
