"""tweepy, which has api.twitter.com written into it, from signing in to likes.

Its HTTP library takes HTTPS_PROXY and REQUESTS_CA_BUNDLE from the environment; nothing of tweepy is changed. Alice goes
to the pages of x.com and twitter.com as with a browser, and fills in their forms.
"""

import re
import unittest
from urllib.parse import parse_qs, urlsplit

import tweepy
from oauthlib.oauth2 import AccessDeniedError, OAuth2Error

from world import ALICE, CALLBACK, CONFIDENTIAL, PUBLIC, SCOPES, consent, decide, did, post


def like_count(post_id):
    client = tweepy.Client(ALICE["access_token"])
    return client.get_tweet(post_id, tweet_fields=["public_metrics"]).data.public_metrics["like_count"]


class Likes(unittest.TestCase):
    def likes(self, client, post_id, **how):
        """Likes the post and takes it back."""
        before = like_count(post_id)
        self.assertEqual(client.like(post_id, **how).data, {"liked": True})
        self.assertEqual(like_count(post_id), before + 1)
        self.assertEqual(client.unlike(post_id, **how).data, {"liked": False})
        self.assertEqual(like_count(post_id), before)


class OAuth1(Likes):
    def handler(self, callback, app=CONFIDENTIAL):
        return tweepy.OAuth1UserHandler(app["api_key"], app["api_secret"], callback=callback)

    def signed_in(self, handler, verifier):
        token, secret = handler.get_access_token(verifier)
        self.assertTrue(token.startswith(ALICE["id"] + "-"), token)
        return tweepy.Client(consumer_key=handler.consumer_key, consumer_secret=handler.consumer_secret,
                             access_token=token, access_token_secret=secret)

    def refused(self, handler, verifier):
        with self.assertRaisesRegex(tweepy.TweepyException, "^Token request failed with code 401, ") as caught:
            handler.get_access_token(verifier)
        return str(caught.exception)

    def test_three_legs(self):
        for sign_in_with in (False, True):
            with self.subTest(signin_with_twitter=sign_in_with):
                handler = self.handler(CALLBACK)
                link = handler.get_authorization_url(signin_with_twitter=sign_in_with)
                self.assertEqual(urlsplit(link).path, "/oauth/authenticate" if sign_in_with else "/oauth/authorize")
                self.assertIn("Invalid oauth_verifier parameter", self.refused(handler, "too soon"))
                back = consent(link)
                self.assertTrue(back.startswith(CALLBACK + "?"), back)
                query = parse_qs(urlsplit(back).query)
                self.assertEqual(query["oauth_token"], [handler.request_token["oauth_token"]])
                self.assertIn("Invalid oauth_verifier parameter", self.refused(handler, "wrong"))
                client = self.signed_in(handler, query["oauth_verifier"][0])
                self.refused(handler, query["oauth_verifier"][0])  # again
                self.assertEqual(client.get_me().data.username, "alice")
                self.likes(client, post(2))
        did("tweepy", "OAuth 1.0a")
        did("tweepy", "likes")

    def test_pin(self):
        handler = self.handler("oob")
        page = decide(handler.get_authorization_url(), "allow")
        self.assertEqual(page.status_code, 200)
        [pin] = re.findall(r'value="(\d{7})"', page.text)
        self.refused(handler, f"{(int(pin) + 1) % 10**7:07}")
        self.likes(self.signed_in(handler, pin), post(3))
        did("tweepy", "PIN")

    def test_denied(self):
        handler = self.handler(CALLBACK)
        page = decide(handler.get_authorization_url(), "deny")
        self.assertEqual(page.status_code, 200)
        self.assertIn(f'href="{CALLBACK}?denied={handler.request_token["oauth_token"]}"', page.text)
        self.assertIn("Invalid oauth_verifier parameter", self.refused(handler, "0000000"))

    def test_read_only(self):
        handler = self.handler(CALLBACK)
        query = parse_qs(urlsplit(consent(handler.get_authorization_url(access_type="read"))).query)
        client = self.signed_in(handler, query["oauth_verifier"][0])
        with self.assertRaises(tweepy.Forbidden) as caught:
            client.like(post(4))
        self.assertEqual(caught.exception.response.json()["type"], "https://api.twitter.com/2/problems/oauth1-permissions")

    def test_callback_not_registered(self):
        with self.assertRaisesRegex(tweepy.TweepyException, "403.*Callback URL not approved for this client application"):
            self.handler("http://127.0.0.1:3000/elsewhere").get_authorization_url()

    def test_wrong_secret(self):
        handler = self.handler(CALLBACK, CONFIDENTIAL | {"api_secret": "wrong"})
        with self.assertRaisesRegex(tweepy.TweepyException, "401.*Could not authenticate you"):
            handler.get_authorization_url()


class OAuth2(Likes):
    TOKEN_URL = "https://api.twitter.com/2/oauth2/token"

    def handler(self, app):
        return tweepy.OAuth2UserHandler(client_id=app["client_id"], client_secret=app.get("client_secret"),
                                        redirect_uri=CALLBACK, scope=SCOPES)

    def refresh(self, handler, token):
        # tweepy leaves this to its base class. A public app says who it is in the body.
        who = {} if handler.auth else {"client_id": handler.client_id}
        return handler.refresh_token(self.TOKEN_URL, refresh_token=token, auth=handler.auth, **who)

    def refused(self, error, description, call, *arguments):
        with self.assertRaises(OAuth2Error) as caught:
            call(*arguments)
        self.assertEqual((caught.exception.error, caught.exception.description), (error, description))

    def test_pkce(self):
        for n, app in ((5, CONFIDENTIAL), (6, PUBLIC)):
            with self.subTest(app["type"]):
                handler = self.handler(app)
                back = consent(handler.get_authorization_url())
                token = handler.fetch_token(back)
                self.assertEqual(token["token_type"], "bearer")
                self.assertEqual(set(token["scope"]), set(SCOPES))
                self.assertGreater(token["expires_in"], 7000)
                self.likes(tweepy.Client(token["access_token"]), post(n), user_auth=False)

                renewed = self.refresh(handler, token["refresh_token"])
                self.assertNotEqual(renewed["refresh_token"], token["refresh_token"])
                self.likes(tweepy.Client(renewed["access_token"]), post(n), user_auth=False)
                self.refused("invalid_request", "Value passed for the token was invalid.",
                             self.refresh, handler, token["refresh_token"])
        did("tweepy", "OAuth 2.0")

    def test_denied(self):
        handler = self.handler(CONFIDENTIAL)
        back = consent(handler.get_authorization_url(), "deny")
        with self.assertRaises(AccessDeniedError) as caught:
            handler.fetch_token(back)
        self.assertEqual(caught.exception.error, "access_denied")

    def test_code_twice(self):
        handler = self.handler(CONFIDENTIAL)
        back = consent(handler.get_authorization_url())
        token = handler.fetch_token(back)
        self.refused("invalid_request", "Value passed for the authorization code was invalid.",
                     handler.fetch_token, back)
        # RFC 6749, 4.1.2: whoever had it first may have stolen it.
        with self.assertRaises(tweepy.Unauthorized):
            tweepy.Client(token["access_token"]).like(post(7), user_auth=False)

    def test_wrong_verifier(self):
        handler = self.handler(PUBLIC)
        back = consent(handler.get_authorization_url())
        handler._client.code_verifier = "x" * 128
        self.refused("invalid_request", "Value passed for the code verifier did not match the code challenge.",
                     handler.fetch_token, back)

    def test_wrong_secret(self):
        handler = self.handler(CONFIDENTIAL | {"client_secret": "wrong"})
        back = consent(handler.get_authorization_url())
        self.refused("unauthorized_client", "Missing valid authorization header", handler.fetch_token, back)


class AppOnly(unittest.TestCase):
    def test_app_only(self):
        bearer = tweepy.OAuth2AppHandler(CONFIDENTIAL["api_key"], CONFIDENTIAL["api_secret"])._bearer_token
        self.assertEqual(bearer, CONFIDENTIAL["bearer_token"])
        did("tweepy", "app-only")
