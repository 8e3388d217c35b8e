"""Take the screenshots of a board's page that stand in docs/: wide and narrow, light and dark.

    python docs/screenshots.py leaderboards/mini [FOLDER]

It needs playwright (`pip install -e ".[dev]"`) and a Chromium on the PATH (Debian: `apt install chromium`).
"""

import shutil
import sys
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

SIZES = {"wide": (1280, 1120), "phone": (390, 844)}


def shoot(tab: Page, file: Path) -> None:
    """Photograph what is in sight, in 256 colours: a third of the bytes."""
    picture = Image.open(BytesIO(tab.screenshot())).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)


def main(board: Path, folder: Path) -> None:
    """Photograph the top of a board's page and its gallery in each size and scheme."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            for size, (width, height) in SIZES.items():
                context = browser.new_context(
                    viewport={"width": width, "height": height},
                    color_scheme=scheme,
                    device_scale_factor=1.5,
                    reduced_motion="reduce",
                )
                tab = context.new_page()
                tab.goto((board / "index.html").resolve().as_uri())
                tab.locator(".card canvas").nth(20).wait_for()
                if size == "wide":  # with the classes of the second row
                    tab.locator(".opener").nth(1).click()
                    tab.mouse.move(0, 0)
                shoot(tab, folder / f"board-{size}-{scheme}.png")
                tab.locator("#gallery").evaluate("section => section.scrollIntoView()")
                shoot(tab, folder / f"gallery-{size}-{scheme}.png")
                context.close()
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "docs"))
