"""The likes streams through tweepy, while another tweepy likes.

tweepy has no method for them, and its StreamingClient builds the paths of posts' streams alone. What it builds on reads
any stream: BaseStream, which connects, splits lines and knows signs of life.
"""

import json
import threading
import time
import unittest

import tweepy
from tweepy.streaming import BaseStream

from world import WORLD, did

BEARER = WORLD["apps"][0]["bearer_token"]
LIKER = WORLD["users"][40]
LIMIT = 60  # seconds for what must come


class Stream(BaseStream):
    """One stream, read in a thread of its own, which tells until it is to leave."""

    def __init__(self, path, tell, leave, **params):
        super().__init__(max_retries=0, daemon=True)
        self.tell, self.leave = tell, leave
        self.connected, self.refused = threading.Event(), None
        self.session.headers["Authorization"] = f"Bearer {BEARER}"
        self._threaded_connect("GET", f"https://api.twitter.com/2/likes/{path}/stream", params=params)

    def on_connect(self):
        self.connected.set()

    def on_request_error(self, status_code):
        self.refused = status_code
        self.disconnect()
        self.connected.set()

    def on_data(self, raw_data):
        self.tell(json.loads(raw_data))
        self.on_keep_alive()

    def on_keep_alive(self):
        if self.leave.is_set():
            self.disconnect()


class Firehose:
    """The likes of some posts, in all partitions at once."""

    def __init__(self, posts, **params):
        self.posts = posts
        self.events, self.left, self.streams = [], threading.Event(), []
        for partition in range(1, 21):
            self.streams.append(self.open(partition=partition, **params))

    def open(self, **params):
        # An app has one connection to each partition: it waits until the last has gone.
        for _ in range(2 * LIMIT):
            stream = Stream("firehose", self.tell, self.left, **params)
            if not stream.connected.wait(LIMIT):
                raise AssertionError("no answer")
            if stream.refused is None:
                return stream
            time.sleep(0.5)
        raise AssertionError(f"refused with {stream.refused}")

    def tell(self, event):
        if event.get("data", {}).get("liked_tweet_id") in self.posts:
            self.events.append(event["data"])

    def liked(self, n):
        """The first n posts that it was told of, or fewer after a while."""
        end = time.monotonic() + LIMIT
        while len(self.events) < n and time.monotonic() < end:
            time.sleep(0.05)
        return [e["liked_tweet_id"] for e in self.events]

    def close(self):
        """tweepy looks whether it is to leave when a line comes: a sign of life, at the latest."""
        self.left.set()
        for stream in self.streams:
            stream.thread.join(LIMIT)
            if stream.thread.is_alive():
                raise AssertionError("no sign of life")


class Streams(unittest.TestCase):
    def test_firehose(self):
        client = tweepy.Client(LIKER["access_token"])

        def like(some):
            for post in some:
                self.assertEqual(client.like(post, user_auth=False).data, {"liked": True})

        posts = [client.create_tweet(text=f"post {n}", user_auth=False).data["id"] for n in range(20)]
        first = Firehose(posts)
        like(posts[:10] + posts[:3])  # a repeat is no change, and no event
        self.assertEqual(first.liked(10), posts[:10])
        first.close()
        self.assertEqual(len(first.events), 10)

        like(posts[10:])  # while nobody reads
        second = Firehose(posts, backfill_minutes=5)
        self.assertEqual(second.liked(20), posts)
        second.left.set()
        self.assertEqual([e["id"] for e in second.events[:10]], [e["id"] for e in first.events])
        self.assertEqual(len(second.events), 20)
        self.assertEqual(len({e["id"] for e in second.events}), 20)
        did("tweepy", "streams")
