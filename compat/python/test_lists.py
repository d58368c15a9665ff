"""Long lists of likes through tweepy, page by page: 1,000 posts that a user likes, and 1,000 users who like a post.

Newest likes come first, and the driver liked in the order of its credentials.
"""

import unittest

import tweepy

from world import BOB, WORLD, did

PAGE_SIZE = 100


def ids(items):
    return [str(item["id"]) for item in items]


class Lists(unittest.TestCase):
    def setUp(self):
        self.client = tweepy.Client(BOB["access_token"])

    def walk(self, method, whose, want):
        self.assertEqual(len(want), 1000)
        pages = list(tweepy.Paginator(method, whose, max_results=PAGE_SIZE))
        self.assertEqual([page.meta["result_count"] for page in pages], [PAGE_SIZE] * (len(want) // PAGE_SIZE))
        self.assertEqual([i for page in pages for i in ids(page.data)], want)

        # And back, from the last page on.
        token, got = pages[-1].meta["previous_token"], []
        while token:
            page = method(whose, max_results=PAGE_SIZE, pagination_token=token)
            got = ids(page.data) + got
            token = page.meta.get("previous_token")
        self.assertEqual(got, want[:-PAGE_SIZE])

    def test_liked_posts(self):
        self.walk(self.client.get_liked_tweets, WORLD["users"][-1]["id"], ids(WORLD["posts"][8:-1])[::-1])

    def test_liking_users(self):
        self.walk(self.client.get_liking_users, WORLD["posts"][-1]["id"], ids(WORLD["users"][7:-1])[::-1])
        did("tweepy", "lists")
