"""The test of docs/control.md, with nothing but Python."""

import json
import os
import unittest
from urllib.error import HTTPError
from urllib.request import Request, urlopen

with open(os.environ["LIKED_CREDENTIALS"], encoding="utf-8") as file:
    world = json.load(file)
alice, post = world["users"][2], world["posts"][0]


def call(method, url, token, body=None):
    headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    try:
        with urlopen(Request(url, data, headers, method=method)) as response:
            return response.status, json.load(response)
    except HTTPError as refusal:
        return refusal.code, json.load(refusal)


def control(method, path, body=None):
    status, answer = call(method, world["admin_url"] + "/admin/" + path, world["admin_token"], body)
    assert status < 300, answer
    return answer


def like():
    return call("POST", world["url"] + "/2/users/" + alice["id"] + "/likes", alice["access_token"], {"tweet_id": post["id"]})


class TestControl(unittest.TestCase):
    def test_waits_until_the_limit_resets(self):
        control("PUT", "clock", {"frozen": True})
        self.addCleanup(control, "PUT", "clock", {"frozen": False})
        control("DELETE", "requests")
        control("POST", "faults", {"match": {"operation": "usersIdLike"}, "do": {"reset_in": "15m"}})

        status, _ = like()
        self.assertEqual(429, status)
        control("POST", "clock/advance", {"by": "15m"})
        status, answer = like()
        self.assertEqual((200, {"data": {"liked": True}}), (status, answer))

        control("POST", "verify", {"match": {"operation": "usersIdLike", "status": 200}, "exactly": 1})


if __name__ == "__main__":
    unittest.main()
