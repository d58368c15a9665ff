"""What the tests know of the server, what a browser does at its pages, and what they say of the clients."""

import importlib.metadata
import json
import os
from html.parser import HTMLParser
from urllib.parse import urljoin

import requests

with open(os.environ["LIKED_CREDENTIALS"], encoding="utf-8") as file:
    WORLD = json.load(file)

CONFIDENTIAL, PUBLIC = WORLD["apps"]
CALLBACK = CONFIDENTIAL["redirect_uris"][0]
ALICE, BOB = (next(u for u in WORLD["users"] if u["username"] == name) for name in ("alice", "bob"))
SCOPES = ["tweet.read", "users.read", "like.read", "like.write", "offline.access"]

# oauthlib reads no answer from a callback that is plain http, even on this machine, unless it is told that this is a test.
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"


def post(n):
    """The id of a post that each test has to itself."""
    return WORLD["posts"][n]["id"]


class Forms(HTMLParser):
    """The forms of a page: where each goes, and its fields."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page.text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "form":
            self.found.append((attrs.get("action"), {}))
        elif tag == "input" and "name" in attrs:
            self.found[-1][1][attrs["name"]] = attrs.get("value", "")


def submit(browser, page, **fields):
    """Sends the form that signs in or decides, with the fields filled in."""
    for action, given in Forms(page).found:
        if given.keys() & {"username", "request"}:
            return browser.post(urljoin(page.url, action), data=given | fields, allow_redirects=False, timeout=30)
    raise AssertionError(f"{page.url}: no form in {page.status_code} {page.text}")


def decide(link, decision):
    """What alice gets to see when she has signed in at the link and decided."""
    with requests.Session() as browser:
        page = browser.get(link, timeout=30)
        signed_in = submit(browser, page, username="alice", password=ALICE["password"])
        assert signed_in.is_redirect, signed_in.text
        page = browser.get(urljoin(signed_in.url, signed_in.headers["Location"]), allow_redirects=False, timeout=30)
        if page.is_redirect:  # to the app: who has agreed before is not asked again, by way of "Sign in with Twitter"
            return page
        assert "@alice" in page.text, page.text
        return submit(browser, page, decision=decision)


def consent(link, decision="allow"):
    """Where alice is sent when she has decided."""
    response = decide(link, decision)
    assert response.status_code == 302, response.text
    return response.headers["Location"]


POINTED = {
    "python-twitter": "the proxy (`HTTPS_PROXY`)",
    "python-twitter-v2": "the proxy (`HTTPS_PROXY`)",
    "rauth": "the URLs of its service",
    "social-auth-core": "the proxy (`HTTPS_PROXY`)",
    "tweepy": "the proxy (`HTTPS_PROXY`)",
}


def did(client, what):
    """Notes what a client did, for the table in docs/clients.md: the last line of a test, since the table has what works."""
    line = {"client": client, "version": importlib.metadata.version(client), "from": "PyPI", "did": what, "pointed": POINTED[client]}
    with open(os.environ["LIKED_TEMP"] + "/clients.jsonl", "a", encoding="utf-8") as table:
        table.write(json.dumps(line) + "\n")
