"""Likes a post on X with three clients, one of which asks no proxy."""

import asyncio
import os

import aiohttp
import httpx
import requests

URL = f"https://api.x.com/2/users/{os.environ['X_USER_ID']}/likes"
HEADERS = {"Authorization": f"Bearer {os.environ['X_ACCESS_TOKEN']}"}
POST = {"tweet_id": os.environ["X_POST_ID"]}


async def like():
    async with aiohttp.ClientSession() as session:
        async with session.post(URL, headers=HEADERS, json=POST) as response:
            return response.status


assert requests.post(URL, headers=HEADERS, json=POST, timeout=30).status_code == 200
assert httpx.post(URL, headers=HEADERS, json=POST, timeout=30).status_code == 200
assert asyncio.run(like()) == 200
