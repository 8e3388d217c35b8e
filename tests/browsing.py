"""Helpers of the tests that open the rating page in a real browser."""

import re
import shutil

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
READY = '#rating[aria-busy="false"]'
LISTENED = f"{READY} #choices button:enabled"


def watch(page, problems):
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    # Of a server that is away, or refuses, the page itself tells.
    page.on("console", lambda said: "Failed to load resource" in said.text or problems.append(said.text))


def begin(page, rater=None):
    if rater:
        page.get_by_label("Your name").fill(rater)
    page.get_by_label("I have read this").check()
    page.get_by_role("button", name=re.compile("Begin|Go on")).click()


def place(page):
    return int(page.locator("#place").inner_text().split()[0])


def rate(page, count, keys, ready=READY):
    """Press a key for each of the next items; gives the keys by the place of the item."""
    pressed = {}
    for key, _ in zip(keys, range(count), strict=False):
        page.wait_for_selector(ready)
        here = place(page)
        page.keyboard.press(key)
        pressed[here] = key
        page.locator("#place", has_text=re.compile(rf"^(?!{here} of)")).or_(page.locator("#end h1")).first.wait_for()
        if page.locator("#end").is_visible():
            break
    return pressed
