"""Make docs/rating-page.png and docs/rating-phone.png: python docs/rating_screenshots.py LIKERT_STUDY PAIRWISE_STUDY.

Needs playwright and Chromium. The studies are folders that ``a2ibench rate make`` made.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

DOCS = Path(__file__).parent
READY = '#rating[aria-busy="false"] #choices button:enabled'


def rate(page: Page, study: Path, key: str, count: int) -> None:
    """Open a study's page from disk, answer some items, and go back to the last one."""
    page.goto((study / "page" / "index.html").resolve().as_uri())
    page.get_by_label("Your name").fill("R07")
    page.get_by_label("I have read this").check()
    page.get_by_role("button", name="Begin").click()
    for number in range(count):
        page.wait_for_selector(READY)
        page.keyboard.press(key)
        page.locator("#place", has_text=f"{number + 2} of").wait_for()
    page.mouse.move(0, 0)  # nothing is hovered
    page.keyboard.press("Backspace")
    page.locator("#place", has_text=f"{count} of").wait_for()
    page.wait_for_selector(READY)


def main(likert: Path, pairwise: Path) -> None:
    """Make both pictures."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        rate(page, likert, "4", 12)
        page.screenshot(path=DOCS / "rating-page.png")
        phone = {"viewport": {"width": 390, "height": 760}, "device_scale_factor": 2, "has_touch": True}
        page = browser.new_page(**phone, is_mobile=True, color_scheme="dark")
        rate(page, pairwise, "ArrowLeft", 9)
        page.screenshot(path=DOCS / "rating-phone.png")
        browser.close()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
