"""Clients that are older or stricter than tweepy, each from signing in to what it is used for.

All but rauth have X's hosts written into them; their HTTP library takes HTTPS_PROXY from the environment.
"""

import unittest
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytwitter
import rauth
import twitter
from social_core.backends.twitter import TwitterOAuth
from social_core.backends.twitter_oauth2 import TwitterOAuth2
from social_core.storage import BaseStorage
from social_core.strategy import BaseStrategy

from world import ALICE, CALLBACK, CONFIDENTIAL, PUBLIC, SCOPES, WORLD, consent, did, post

KEY, SECRET = CONFIDENTIAL["api_key"], CONFIDENTIAL["api_secret"]


class PyTwitter(unittest.TestCase):
    def likes(self, api):
        self.assertEqual(api.get_me(return_json=True)["data"]["username"], "alice")
        self.assertEqual(api.like_tweet(ALICE["id"], post(2)), {"data": {"liked": True}})
        self.assertEqual(api.unlike_tweet(ALICE["id"], post(2)), {"data": {"liked": False}})
        did("python-twitter-v2", "likes")

    def test_oauth1(self):
        # One object makes the link, another reads the answer: it has no secret of the request token to sign with.
        link = pytwitter.Api(consumer_key=KEY, consumer_secret=SECRET, oauth_flow=True, callback_uri=CALLBACK).get_authorize_url()
        api = pytwitter.Api(consumer_key=KEY, consumer_secret=SECRET, oauth_flow=True, callback_uri=CALLBACK)
        given = api.generate_access_token(consent(link))
        self.assertEqual((given["user_id"], given["screen_name"]), (ALICE["id"], "alice"))
        self.likes(api)
        did("python-twitter-v2", "OAuth 1.0a")

    def test_oauth2(self):
        for app in (CONFIDENTIAL, PUBLIC):
            with self.subTest(app["type"]):
                api = pytwitter.Api(client_id=app["client_id"], client_secret=app.get("client_secret"), oauth_flow=True,
                                    callback_uri=CALLBACK, scopes=SCOPES)
                link, verifier, _ = api.get_oauth2_authorize_url()
                token = api.generate_oauth2_access_token(consent(link), verifier)
                self.assertEqual(set(token["scope"].split()), set(SCOPES))
                self.likes(api)
        did("python-twitter-v2", "OAuth 2.0")

    def test_app_only(self):
        given = pytwitter.Api(consumer_key=KEY, consumer_secret=SECRET, oauth_flow=True).generate_bearer_token(KEY, SECRET)
        self.assertEqual(given, {"token_type": "bearer", "access_token": CONFIDENTIAL["bearer_token"]})
        did("python-twitter-v2", "app-only")


class PythonTwitter(unittest.TestCase):
    def test_v1(self):
        # With sleep_on_rate_limit it asks for all limits before its first call.
        api = twitter.Api(consumer_key=KEY, consumer_secret=SECRET, access_token_key=ALICE["oauth1_token"],
                          access_token_secret=ALICE["oauth1_token_secret"], sleep_on_rate_limit=True)
        self.assertEqual(api.VerifyCredentials().screen_name, "alice")
        self.assertTrue(api.CreateFavorite(status_id=post(3)).favorited)
        self.assertEqual(api.GetFavorites(count=1)[0].id_str, post(3))
        self.assertFalse(api.DestroyFavorite(status_id=post(3)).favorited)
        limit = api.CheckRateLimit("https://api.twitter.com/1.1/favorites/list.json")
        self.assertEqual(limit.limit, 75)
        self.assertLess(limit.remaining, 75)
        did("python-twitter", "likes in v1.1")


class RAuth(unittest.TestCase):
    def test_three_legs(self):
        service = rauth.OAuth1Service(
            KEY, SECRET, name="liked", base_url=WORLD["url"] + "/2/", request_token_url=WORLD["url"] + "/oauth/request_token",
            authorize_url=WORLD["url"] + "/oauth/authorize", access_token_url=WORLD["url"] + "/oauth/access_token")
        for method, place in (("POST", "data"), ("GET", "params")):  # what it signs goes into the form or the query
            with self.subTest(method):
                token, secret = service.get_request_token(method=method, **{place: {"oauth_callback": CALLBACK}})
                query = parse_qs(urlsplit(consent(service.get_authorize_url(token))).query)
                session = service.get_auth_session(token, secret, method=method,
                                                   **{place: {"oauth_verifier": query["oauth_verifier"][0]}})
                me = session.get("users/me", params={})
                self.assertEqual((me.status_code, me.json()["data"]["username"]), (200, "alice"), me.text)
                like = session.post(f"users/{ALICE['id']}/likes", json={"tweet_id": post(4)}, params={}, header_auth=True,
                                    headers={"Content-Type": "application/json"})
                self.assertEqual((like.status_code, like.json()), (200, {"data": {"liked": True}}), like.text)
        did("rauth", "OAuth 1.0a")
        did("rauth", "likes")


class Nonces:
    """The states that are out, which a database holds elsewhere. One is good once."""

    out = set()

    @classmethod
    def use(cls, *nonce):
        cls.out.add(nonce)
        return True

    @classmethod
    def consume(cls, *nonce):
        there = nonce in cls.out
        cls.out.discard(nonce)
        return there


class Storage(BaseStorage):
    nonce = Nonces


class Strategy(BaseStrategy):
    """What a web framework does for social-auth-core: settings, a session, and the parameters of a request."""

    def __init__(self, settings, session, data):
        super().__init__(Storage)
        self.settings, self.session, self.data = settings, session, data

    def get_setting(self, name):
        return self.settings[name]

    def request_data(self, merge=True):
        return self.data

    def session_get(self, name, default=None):
        return self.session.get(name, default)

    def session_set(self, name, value):
        self.session[name] = value

    def session_pop(self, name):
        return self.session.pop(name, None)

    def build_absolute_uri(self, path=None):
        return path

    def redirect(self, url):
        return url

    def authenticate(self, backend, *args, **kwargs):
        return backend.get_user_details(kwargs["response"])


class SocialAuth(unittest.TestCase):
    def sign_in(self, backend, key, secret):
        name = backend.name.upper().replace("-", "_")
        settings = {f"SOCIAL_AUTH_{name}_KEY": key, f"SOCIAL_AUTH_{name}_SECRET": secret}
        session = {}
        link = backend(Strategy(settings, session, {}), redirect_uri=CALLBACK).start()
        back = consent(link)
        self.assertTrue(back.startswith(CALLBACK + "?"), back)
        data = dict(parse_qsl(urlsplit(back).query))
        return backend(Strategy(settings, session, data), redirect_uri=CALLBACK).auth_complete(), data

    def test_oauth1(self):
        details, data = self.sign_in(TwitterOAuth, KEY, SECRET)
        self.assertEqual((details["username"], details["fullname"]), ("alice", "Alice"))
        self.assertIn("redirect_state", data)  # which it adds to the callback, and gets back
        did("social-auth-core", "OAuth 1.0a")

    def test_oauth2(self):
        details, _ = self.sign_in(TwitterOAuth2, CONFIDENTIAL["client_id"], CONFIDENTIAL["client_secret"])
        self.assertEqual((details["username"], details["fullname"]), ("alice", "Alice"))
        picture = "https://abs.twimg.com/sticky/default_profile_images/default_profile_normal.png"
        self.assertEqual(details["profile_image_url"], picture)
        did("social-auth-core", "OAuth 2.0")
