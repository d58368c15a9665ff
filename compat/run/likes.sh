#!/bin/sh
# Likes a post on X with curl, in HTTP/1.1 and HTTP/2.
for version in --http1.1 --http2; do
	curl -sS --fail -o /dev/null $version https://api.x.com/2/users/$X_USER_ID/likes \
		-H "Authorization: Bearer $X_ACCESS_TOKEN" -H "Content-Type: application/json" -d "{\"tweet_id\":\"$X_POST_ID\"}" || exit 1
done
